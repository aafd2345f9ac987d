"""The driver's management library about each GPU: does it answer, and does it ask for something itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.readings import NO_PERMISSION
from paddle_bootstrap.host.facts import Abandoned, Unknown, Unsupported
from paddle_bootstrap.toml import shipped

HERE = Path(__file__).parent
ERRORS = shipped(HERE / "nvml_errors.toml")
ACTIONS = shipped(HERE / "recovery.toml")
ASIDE = (
    "row_banks",
    "nvlink_errors",
    "memory_temperature",
    "application_clocks",
    "display",
)  # read by checks of others
XID = "dmesg | grep -i -e xid -e nvrm"


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_answers(device, host, reading, warn):
    """NVML opens the GPU and answers for it.

    Every check of one reading is skipped when that reading failed: this one says which did, and why.
    """
    readings = reading.all()
    handle = readings["handle"]
    opened = not isinstance(handle, Unknown)
    code = getattr(handle, "code", None)
    expect(
        opened,
        f"{named(device)}{place(host)}: {meaning(code, handle)}",
        measured=getattr(handle, "reason", None),
        expected="a handle of the card: nvmlDeviceGetHandleByIndex gives 0",
        **advice(code, device),
    )
    failed = {name: value for name, value in readings.items() if is_failure(value)}
    worst = next(iter(failed.values()), None)
    code = getattr(worst, "code", None)
    expect(
        not failed,
        f"{named(device)} did not answer for {', '.join(failed)}: {meaning(code, worst)}",
        measured=few(value.reason for value in failed.values()),
        expected=f"an answer to each of {len(readings)} questions, or that the card has no such thing",
        **advice(code, device),
    )
    refused = [name for name in ASIDE if getattr(readings[name], "code", None) == NO_PERMISSION]
    if refused:
        warn(f"this user may not read {few(refused)} of {named(device)}: not judged; run as root")
    unasked = {name: value for name, value in readings.items() if isinstance(value, Abandoned)}
    if unasked:  # for what happened elsewhere: the process that asks ended, or another card did not answer
        why = next(iter(unasked.values())).reason
        pytest.skip(f"{named(device)} was not asked for {few(unasked)}: {why}")


def place(host):
    """Where a card must be that cannot tell its address: where there is one and no other says that it is it."""
    bus = host.pci_gpus if isinstance(host.pci_gpus, tuple) else ()
    left = sorted(set(bus) - {gpu.pci_address for gpu in host.gpus})
    return f", at {' or '.join(left)}" if left else ""


def is_failure(value):
    """Neither an answer, nor one that the card or this user cannot have, nor one of those after a first time-out."""
    excused = isinstance(value, (Unsupported, Abandoned)) or getattr(value, "code", None) == NO_PERMISSION
    return isinstance(value, Unknown) and not excused


def meaning(code, value):
    if code is None:
        return getattr(value, "reason", "")
    known = ERRORS.get(str(code))
    return f"{known['means']} (NVML code {code})" if known else f"NVML code {code}, which this tool does not know"


def advice(code, device):
    """Likely cause and next command; without a code, no answer came in time."""
    known = ERRORS.get(str(code), {})
    silent = "the driver or the card's firmware hangs (Xid 119, 120), or the card has left the bus (79)"
    return {
        "likely": known.get("likely", silent if code is None else None),
        "fix": known.get("fix", f"{XID}; ps -eo pid,stat,comm | grep ' D'; reboot").format(index=device.index),
    }


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_recovery_action(device, reading):
    """The driver asks for no repair of the GPU."""
    asked = reading("recovery_action")
    known = ACTIONS.get(str(asked), {"asks": f"action {asked}, which this tool does not know", "fix": XID})
    expect(
        asked == 0,
        f"the driver asks for a repair of {named(device)}: {known['asks']}",
        measured=f"recovery action {asked}",
        expected="0: none",
        likely="an error that the card could not get over by itself: its Xid is in the kernel log",
        fix=known["fix"].format(index=device.index),
    )
