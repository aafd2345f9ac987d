"""What was counted and logged while our own checks ran: their programs are right, so what went wrong is the card's."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few, xids
from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.given import not_under_wsl
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.host.facts import Unknown, Unsupported
from paddle_bootstrap.toml import shipped

HERE = Path(__file__).parent
LIMITS = shipped(HERE / "limits.toml")["counters"]
XIDS, RECOVERY = shipped(HERE / "xid.toml"), shipped(HERE / "recovery.toml")
SHOWN = 160  # characters of a line of the log
COUNTED = ("pcie_replays", "recovery_action")  # judged apart: by a rate, and by what it asks for


@pytest.mark.level("standard", seconds=1, priority=1)
@pytest.mark.requires("gpu")
def check_quiet(device, reading, warn):
    """No error was counted while the checks ran."""
    before = {name: reading.raw(name) for name in (*LIMITS["grows"], *COUNTED)}
    known = {name: value for name, value in before.items() if not isinstance(value, Unknown)}
    unread = [
        name for name, value in before.items() if isinstance(value, Unknown) and not isinstance(value, Unsupported)
    ]
    if not known and not unread:
        raise NotSupported(f"{device.label} counts no errors, or its driver does not tell")
    after = reading.again()
    expect_still_there(device, known, after)
    grown = [row for name in LIMITS["grows"] if name in known for row in growth(name, known[name], after[name])]
    judge(device, [row for row in grown if row["outcome"] == "failed"])
    if "pcie_replays" in known:
        expect_few_replays(device, reading, after["pcie_replays"] - known["pcie_replays"])
    if "recovery_action" in known:
        expect_no_recovery(device, known["recovery_action"], after["recovery_action"])
    for row in grown:
        if row["outcome"] == "warned":
            warn(f"{named(device)}: {row['more']} {row['what']} during the checks; {row['fix']}")
    for name in unread:
        reading(name)  # skips, and says why


def expect_still_there(device, known, after):
    gone = {name: after[name].reason for name in known if isinstance(after[name], Unknown)}
    expect(
        not gone,
        f"{named(device)} stopped telling {', '.join(gone)} while the checks ran",
        measured=few(gone.values()),
        expected="the same answers as before the checks",
        likely="the card fell off the bus, or its firmware stopped answering",
        fix="dmesg | grep -i -e xid -e nvrm -e 'fallen off'; reboot; see nvml.answers",
    )


def growth(name, before, after):
    """What has become more: the reading itself, or parts of it, each with how it is judged."""
    rows = []
    for part, row in LIMITS["grows"][name].items():
        first, last = (value[part] if part != "all" else value for value in (before, after))
        if first is not None and last is not None and last > first:
            rows.append({**row, "more": int(last) - int(first), "first": first, "last": last})
    return rows


def judge(device, failed):
    expect(
        not failed,
        f"{named(device)}: " + few(f"{row['more']} {row['what']} during the checks" for row in failed),
        measured=few(f"{row['what']}: {row['first']} before, {row['last']} after" for row in failed),
        expected="no more than before",
        likely="; ".join(dict.fromkeys(row["likely"] for row in failed)),
        fix="; ".join(dict.fromkeys(row["fix"] for row in failed)),
    )


def expect_few_replays(device, reading, more):
    """Every link replays a little; how much is usual grows with its speed."""
    link = reading.raw("pcie") or {}
    generation, width = link.get("max_generation"), link.get("width")
    rates = LIMITS["replays_per_lane_minute"]
    rate = rates.get(str(generation), max(rates.values()))
    minutes = max(LIMITS["least_minutes"], reading.seconds() / 60)
    most = rate * (width or LIMITS["lanes"]) * minutes
    expect(
        more <= most,
        f"{more} PCIe replays on {named(device)} during the checks",
        measured=f"{more} in {minutes:.1f} min",
        expected=f"at most {most:.0f}: {rate:g} per lane and minute at generation {generation}",
        likely="a bad contact: the slot, a riser or a cable",
        fix="reseat the card and its riser; compare the neighbouring slot; see link.pcie_width and kernel.noise",
    )


def expect_no_recovery(device, before, after):
    told = RECOVERY.get(str(after), {})
    expect(
        after in (before, 0),
        f"since the checks began the driver asks to {told.get('asks', f'do {after}')}: {named(device)}",
        measured=f"recovery action {after}, it was {before}",
        expected="0",
        likely="an error under load that the card does not recover from by itself",
        fix=told.get("fix", "see nvml.recovery_action").replace("{index}", str(device.index)),
    )


@pytest.mark.level("standard", seconds=0.2, priority=1)
@pytest.mark.requires("gpu")
def check_xid(host, kernel_log_now, warn):
    """No Xid came while the checks ran."""
    not_under_wsl(host, "the log that Xids are written to")
    now = kernel_log_now()
    unread = next((log.reason for log in (host.kernel_log, now) if isinstance(log, Unknown)), None)
    if unread:
        warn(f"whether an Xid came during the checks is not known: {unread}; judged instead: counters.quiet")
        return
    ours = {device.gpu.pci_address for device in devices(host) if device.gpu}
    found = [
        (finding, "warned" if finding.outcome == "failed" and finding.address not in ours else finding.outcome)
        for finding in xids.findings(new(host.kernel_log, now), host.gpus, XIDS, during=True)
    ]
    failed = [finding for finding, outcome in found if outcome == "failed"]
    expect(
        not failed,
        few(f"{told(finding)} during the checks" for finding in failed),
        measured=few(finding.last.text[:SHOWN] for finding in failed),
        expected="no Xid while programs run that are known to be right",
        likely=few(dict.fromkeys(f"Xid {finding.number}: {finding.means}" for finding in failed)),
        fix="; ".join(dict.fromkeys(finding.fix for finding in failed)),
    )
    for finding, outcome in found:
        if outcome == "warned":
            warn(f"{told(finding)} during the checks: {finding.means}; {finding.fix}")


def new(before, now):
    """The lines that came since: the log may have lost its oldest ones meanwhile."""
    if not before:
        return now
    last, seen = before[-1].seconds, set(before)
    return tuple(line for line in now if line.seconds >= last and line not in seen)


def told(finding):
    times = f", {len(finding.events)} times," if len(finding.events) > 1 else ""
    return f"Xid {finding.number} on {finding.place}{times}"
