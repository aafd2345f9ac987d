"""The kernel's log, which remembers what the driver no longer tells, and what hangs in the kernel. Asks no driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few, noise, xids
from paddle_bootstrap.harness.given import giver, not_under_wsl
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.kernel_log import REFUSED, since
from paddle_bootstrap.toml import shipped

HERE = Path(__file__).parent
XIDS = shipped(HERE / "xid.toml")
NOISE = shipped(HERE / "kernel_noise.toml")
SHOWN = 160  # characters of a line of the log
NO_WAY_OUT = "see kernel.xid_history; reboot: neither kill -9 nor a reset of the card ends a process in state D"
AGES = ((172800, 86400, "days"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))  # from which age on, seconds, unit
SLEPT = re.compile(r"PM: (?:hibernation: )?(?:suspend|hibernation) exit")
STAND_INS = {  # a reading that tells of what an Xid would have told, and what it gives when all is well
    "recovery_action": ("no recovery action", lambda value: value == 0),
    "ecc_uncorrected": ("no uncorrected memory error", lambda value: value == 0),
    "rows": ("no row that waits or could not be remapped", lambda value: not (value["pending"] or value["failed"])),
    "retired_pages": ("no page that waits", lambda value: not value["pending"]),
}


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_xid_history(host, every_reading, warn):
    """No new Xid speaks against a GPU."""
    not_under_wsl(host, "the log that Xids are written to")
    if isinstance(host.kernel_log, Unknown):
        warn(stand_in(host.kernel_log.reason, every_reading()))
        return
    warn_of_a_late_beginning(host, warn)
    accepted = accepted_at(host)
    log = host.kernel_log if accepted is None else since(host.kernel_log, accepted)
    start = "boot" if accepted is None else f"this host was last accepted ({ago_of(accepted, host)})"
    found = [(finding, judged(finding, host)) for finding in xids.findings(log, host.gpus, XIDS)]
    for finding, outcome in found:
        if outcome == "warned":
            warn(f"{told(finding, host)}; {finding.fix}")
    failed = [finding for finding, outcome in found if outcome == "failed"]
    expect(
        not failed,
        few(told(finding, host) for finding in failed),
        measured=few(f"{ago(finding.last, host)}: {finding.last.text[:SHOWN]}" for finding in failed),
        expected=f"no such Xid since {start} in {host.kernel_log_source}",
        likely=few(dict.fromkeys(f"Xid {finding.number}: {finding.means}" for finding in failed)),
        fix="; ".join(dict.fromkeys(finding.fix for finding in failed)),
        cards=[
            f"gpu{gpu.index}" for gpu in host.gpus or () for finding in failed if gpu.pci_address == finding.address
        ],
    )


def accepted_at(host):
    """On the log's clock, which stands still while a host sleeps: of one that has slept nobody can tell."""
    slept = any(SLEPT.match(line.text) for line in host.kernel_log)
    return None if slept else host.accepted


def judged(finding, host):
    """A card that this process was not given is another's to judge."""
    listed = isinstance(host.gpus, tuple) and any(gpu.pci_address == finding.address for gpu in host.gpus)
    return "warned" if finding.outcome == "failed" and not listed and giver(host) else finding.outcome


def told(finding, host):
    times = f", {len(finding.events)} times," if len(finding.events) > 1 else ""
    return f"Xid {finding.number} on {finding.place}{times} {ago(finding.last, host)}: {finding.means}"


def ago(line, host):
    return ago_of(line.seconds, host)


def ago_of(seconds, host):
    if isinstance(host.uptime, Unknown):
        return f"{seconds:.0f} s after boot"
    age = max(0.0, host.uptime - seconds)
    _, length, unit = next(row for row in AGES if age >= row[0])
    return f"{age / length:.0f} {unit} ago"


def stand_in(reason, cards):
    """What was judged instead of the log. Skips where nothing can stand in for it, or what does is not well."""
    without = f"the kernel's log cannot be read: {reason}"
    if not cards:
        pytest.skip(f"{without}; {REFUSED}")
    asked = set()
    for index, card in cards.items():
        answers = {name: card[name] for name in STAND_INS if not isinstance(card[name], Unknown)}
        bad = [name for name, value in answers.items() if not STAND_INS[name][1](value)]
        if bad:
            pytest.skip(f"{without}; gpu{index} tells of trouble in {', '.join(bad)}, which its own check judges")
        if not answers:
            pytest.skip(f"{without}, and nothing that gpu{index} counts can stand in for it; {REFUSED}")
        asked |= answers.keys()
    instead = ", ".join(words for name, (words, _) in STAND_INS.items() if name in asked)
    later = "counters.quiet compares them at --level standard"
    return f"{without}; judged instead by what the driver counts: {instead}; {later}; {REFUSED}"


def warn_of_a_late_beginning(host, warn):
    if host.kernel_log_begins:
        warn(
            f"the kernel's log ({host.kernel_log_source}) begins {host.kernel_log_begins:.0f} s after boot: what came "
            "before is not known; to keep it: boot with log_buf_len=16M, or write it to /var/log/kern.log (rsyslog)"
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_noise(host, warn):
    """No hint at a fault in the log; no process hangs."""
    for what, found in (("kernel's log was", host.kernel_log), ("processes were", host.stuck)):
        if isinstance(found, Unknown):
            warn(f"the {what} not judged: {found.reason}")
    found = noise.findings(host.kernel_log or (), host.gpus, NOISE, virtual="hypervisor" in (host.cpu_flags or ()))
    for each in found:
        if each.outcome == "warned":
            warn(f"{heard(each, host)}; {each.fix}")
    failed = [each for each in found if each.outcome == "failed"]
    hanging = [f"pid {each.pid} ({each.name}) {holds(each)}" for each in host.stuck or ()]
    summaries = [heard(each, host) for each in failed] + [f"it hangs in the GPU driver: {each}" for each in hanging]
    expect(
        not summaries,
        few(summaries),
        measured=few([each.last.text[:SHOWN] for each in failed] + hanging),
        expected=f"no such line since boot in {host.kernel_log_source}, and no process that stays in state D",
        likely="the driver or a card's firmware has stopped answering (Xid 119, 120 or 79)" if hanging else None,
        fix="; ".join(dict.fromkeys([each.fix for each in failed] + ([NO_WAY_OUT] if hanging else []))),
    )


def heard(each, host):
    times = f" {len(each.lines)} times, last" if len(each.lines) > 1 else ""
    return f"{each.place + ': ' if each.place else ''}{each.means} ({each.name},{times} {ago(each.last, host)})"


def holds(each):
    return f"holds {', '.join(each.holds)}" if each.holds else "is the driver's"
