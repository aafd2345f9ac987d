"""Xid messages of the kernel's log, judged by a table: ``checks/xid.toml``, which says what each number means."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paddle_bootstrap.harness.expect import few
from paddle_bootstrap.host.facts import Gpu, HostFacts, KernelLine, Unknown

SEVERITY = ("failed", "warned", "info")
XID = re.compile(r"^NVRM: Xid \((?:PCI:)?(?P<address>[0-9a-fA-F:.]+)[^)]*\).*?: (?P<number>\d+)\b")
_PCI = re.compile(r"(?:([0-9a-fA-F]+):)?([0-9a-fA-F]+):([0-9a-fA-F]+)(?:\.[0-7])?")

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One message. ``numbered``: it has an Xid itself, and is not just known to stand for one."""

    number: int
    address: str
    line: KernelLine
    numbered: bool = True


@dataclass(frozen=True)
class Finding:
    """The messages of one number about one card."""

    number: int
    address: str
    place: str  # "gpu3 (0000:5e:00.0)"
    outcome: str
    means: str
    fix: str
    events: tuple[Event, ...]  # oldest first

    @property
    def last(self) -> KernelLine:
        return self.events[-1].line


def pci_address(told: str) -> str:
    """``0000:5e:00.0`` for what the driver writes as 0000:5e:00, 5e:00 or 00000000:5E:00.0."""
    match = _PCI.fullmatch(told)
    if not match:
        return told
    domain, bus, device = (int(part or "0", 16) for part in match.groups())
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def place(address: str, gpus: Sequence[Gpu] | Unknown) -> str:
    """The card at this address, by its index where the driver lists it."""
    for gpu in gpus if not isinstance(gpus, Unknown) else ():
        if gpu.pci_address == address:
            return f"gpu{gpu.index} ({address})"
    return f"{address}, which is no GPU that the driver lists"


def events(log: Iterable[KernelLine], table: Table) -> tuple[Event, ...]:
    """Every Xid, and every line that stands for one and is not told by its number as well."""
    unnumbered = [(re.compile(row["pattern"]), row["number"]) for row in table["line"]]
    found: list[Event] = []
    for line in log:
        if not line.text.startswith("NVRM: "):
            continue
        if match := XID.match(line.text):
            found.append(Event(int(match["number"]), pci_address(match["address"]), line))
            continue
        for pattern, number in unnumbered:
            if match := pattern.match(line.text):
                found.append(Event(number, pci_address(match["address"]), line, numbered=False))
    known = {(event.number, event.address) for event in found if event.numbered}
    return tuple(event for event in found if event.numbered or (event.number, event.address) not in known)


def findings(
    log: Iterable[KernelLine], gpus: Sequence[Gpu] | Unknown, table: Table, *, during: bool = False
) -> tuple[Finding, ...]:
    """What the log says of each card, the worst first. ``during``: all of it was written while our own checks ran."""
    told = events(log, table)
    groups: dict[tuple[str, int], list[Event]] = {}
    for event in told:
        groups.setdefault((event.address, event.number), []).append(event)
    found = [_finding(group, told, gpus, table, during) for group in groups.values()]
    return tuple(sorted(found, key=lambda finding: (SEVERITY.index(finding.outcome), -finding.last.seconds)))


def last_words(host: HostFacts, table: Table, addresses: Collection[str]) -> str:
    """What the log tells of the cards at these addresses; empty: nothing."""
    log = () if isinstance(host.kernel_log, Unknown) else host.kernel_log
    found = findings(log, host.gpus, table)
    return few(f"Xid {each.number} on {each.address}: {each.means}" for each in found if each.address in addresses)


def _finding(
    group: Sequence[Event], told: Sequence[Event], gpus: Sequence[Gpu] | Unknown, table: Table, during: bool
) -> Finding:
    first, last = group[0], group[-1]
    row = _row(last, table)
    fix = row["fix"]
    if len(group) > 1 and "again" in row:
        fix = f"{fix}; as it came {len(group)} times: {row['again']}"
    later = {
        event.number
        for event in told
        if (event.address, event.line.seconds >= first.line.seconds) == (first.address, True)
    }
    for other in row.get("followed", ()):
        fix = other["fix"] if other["by"] in later else fix
    where = place(first.address, gpus)
    card = re.match(r"gpu(\d+) ", where)
    return Finding(
        number=first.number,
        address=first.address,
        place=where,
        outcome=row["during" if during else "before"],
        means=row["means"],
        fix=fix.replace("{gpu}", card[1] if card else first.address),
        events=tuple(group),
    )


def _row(event: Event, table: Table) -> dict[str, Any]:
    """What the table says of this message: its class, over that its number, over that its text."""
    row = next((row for row in table["code"] if row["number"] == event.number), None)
    if row is None:
        return dict(table["unknown"])
    texts = [text for text in row.get("text", ()) if re.search(text["pattern"], event.line.text)]
    by_text = texts[0] if texts else {}
    return {**table["classes"][row["class"]], **row, **by_text}
