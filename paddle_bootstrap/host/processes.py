"""Processes that wait in the kernel for the GPU driver: what neither a signal nor a restart of the program ends.

State D alone is nothing: whoever reads a disk is in it. A process is stuck when it is in it twice, has run not at all
in between, and holds a device of the driver or bears its name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.host.facts import StuckProcess, Unknown
from paddle_bootstrap.host.rootfs import inside, text

APART = 1.0  # seconds between the two looks; a healthy disk answers within
DRIVER = re.compile(r"nv(?!me|dimm)|UVM")  # nvidia-smi, nv_queue, nvidia-modeset/, UVM global queue; but no disk's
_STAT = re.compile(r"\d+ \((?P<name>.*)\) (?P<state>[A-Z]) ", re.DOTALL)
_SWITCHES = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s*(\d+)$", re.MULTILINE)

Asleep = tuple[str, tuple[str, ...]]  # name of a process in state D, and how often it has run


@dataclass(frozen=True)
class Waiting:
    """Who is in state D at ``moment``, by process id."""

    moment: float
    found: Mapping[int, Asleep] | Unknown


def waiting(root: Path) -> Waiting:
    """A first look."""
    try:
        pids = [int(entry.name) for entry in inside(root, "proc").iterdir() if entry.name.isdigit()]
    except OSError as error:
        return Waiting(time.monotonic(), Unknown(f"{root / 'proc'}: {error.strerror}"))
    found = {pid: told for pid in pids if (told := _asleep(root, pid))}
    ours = {pid: told for pid, told in found.items() if DRIVER.match(told[0]) or _devices(root, pid)}
    return Waiting(time.monotonic(), ours)


def stuck(root: Path, first: Waiting) -> tuple[StuckProcess, ...] | Unknown:
    """Those of the first look that have not run since. Takes no time where there were none."""
    if isinstance(first.found, Unknown):
        return first.found
    if first.found:
        time.sleep(max(0.0, first.moment + APART - time.monotonic()))
    still = sorted(pid for pid, told in first.found.items() if _asleep(root, pid) == told)
    return tuple(StuckProcess(pid, first.found[pid][0], _devices(root, pid)) for pid in still)


def _asleep(root: Path, pid: int) -> Asleep | None:
    """None: it is in another state, or has ended."""
    told = text(root, f"proc/{pid}/stat")
    match = _STAT.match(told) if isinstance(told, str) else None
    if not match or match["state"] != "D":
        return None
    status = text(root, f"proc/{pid}/status")
    return match["name"], tuple(_SWITCHES.findall(status)) if isinstance(status, str) else ()


def _devices(root: Path, pid: int) -> tuple[str, ...]:
    """Of the driver's devices, those that the process has open, as far as this user may see."""
    try:
        targets = {str(entry.readlink()) for entry in inside(root, f"proc/{pid}/fd").iterdir()}
    except OSError:
        return ()
    return tuple(sorted(target for target in targets if target.startswith("/dev/nvidia")))
