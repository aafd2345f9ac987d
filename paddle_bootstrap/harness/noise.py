"""Lines of the kernel's log, other than Xid, judged by a table: ``checks/kernel_noise.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paddle_bootstrap.harness.xids import SEVERITY, pci_address, place
from paddle_bootstrap.host.facts import Gpu, KernelLine, Unknown

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Noise:
    """The lines of one kind about one device. ``place``: which; empty for what is about none."""

    name: str
    place: str
    outcome: str
    means: str
    fix: str
    lines: tuple[KernelLine, ...]  # oldest first

    @property
    def last(self) -> KernelLine:
        return self.lines[-1]


def findings(
    log: Iterable[KernelLine], gpus: Sequence[Gpu] | Unknown, table: Table, *, virtual: bool = False
) -> tuple[Noise, ...]:
    """What the log holds of the table's kinds, the worst first; what is only information is left out.

    ``virtual``: it is a virtual machine's log, whose bridges are made up.
    """
    rows = {
        row["name"]: {**row, "outcome": row["virtual"]} if virtual and "virtual" in row else row
        for row in table["noise"]
    }
    kinds = [(name, re.compile(row["pattern"])) for name, row in rows.items()]
    groups: dict[tuple[str, str], list[KernelLine]] = {}
    for line in log:
        for name, pattern in kinds:
            if match := pattern.search(line.text):
                address = match.groupdict().get("address")
                groups.setdefault((name, pci_address(address) if address else ""), []).append(line)
                break
    listed = {gpu.pci_address for gpu in gpus} if not isinstance(gpus, Unknown) else set()
    found = [_noise(rows[name], address, lines, address in listed, gpus) for (name, address), lines in groups.items()]
    worst_first = sorted(found, key=lambda noise: (SEVERITY.index(noise.outcome), -noise.last.seconds))
    return tuple(noise for noise in worst_first if noise.outcome != "info")


def _noise(
    row: Mapping[str, str], address: str, lines: Sequence[KernelLine], is_gpu: bool, gpus: Sequence[Gpu] | Unknown
) -> Noise:
    return Noise(
        name=row["name"],
        place=(place(address, gpus) if is_gpu else address),
        outcome=row.get("outcome") or row["gpu" if is_gpu else "other"],
        means=row["means"],
        fix=row["fix"],
        lines=tuple(lines),
    )
