"""How each GPU is set up, and who else uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
GIGA = 1e9
PROHIBITED = 2  # NVML's compute modes


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_persistence(device, reading, warn):
    """The driver stays loaded between programs."""
    if not reading("persistence"):
        warn(
            f"persistence mode is off on {named(device)}: each start loads the driver again, which takes seconds; "
            "systemctl enable --now nvidia-persistenced"
        )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_compute(device, reading, warn):
    """The compute mode lets programs in."""
    mode = reading("compute_mode")
    expect(
        mode != PROHIBITED,
        f'the compute mode of {named(device)} is "prohibited"',
        measured=f"compute mode {mode}",
        expected="0: default",
        likely="an administrator or a scheduler has closed the card",
        fix=f"nvidia-smi -c 0 -i {device.index}",
    )
    alone = LIMITS["compute_mode"]["exclusive"].get(str(mode))
    shared = any(process["kind"] == "mps" for process in reading.raw("processes") or ())
    if alone and not shared:
        warn(
            f"the compute mode of {named(device)} is {alone}: a second program is refused; nvidia-smi -c 0 -i {device.index}"
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_mig(device, reading, warn):
    """The GPU is whole, not sliced (MIG)."""
    mode, back = reading("mig"), f"nvidia-smi -mig 0 -i {device.index}"
    if mode["pending"] != mode["current"]:
        warn(
            f"MIG of {named(device)} is {on(mode['current'])} and will be {on(mode['pending'])} after the next reset; {back}"
        )
    elif mode["current"]:
        unread = [name for name, value in reading.all().items() if isinstance(value, Unknown)]
        warn(
            f"MIG is on: {named(device)} is sliced, and of the whole card is not told: {', '.join(unread)}; if unwanted: {back}"
        )


def on(flag):
    return "on" if flag else "off"


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_neighbours(device, reading, warn):
    """Nobody else uses the GPU."""
    held = {}
    for found in reading("processes"):
        held.setdefault(found["pid"], []).append(found["memory"])
    others = [told_of(reading, pid, parts) for pid, parts in held.items() if not reading.ours(pid)]
    if others:
        warn(f"{named(device)} is in use: {few(others)}; end them, or measure later", busy=True)
    lost, most = ownerless(reading, held), LIMITS["neighbours"]["ownerless_bytes"]
    if lost > most:
        warn(
            f"{lost / GIGA:.1f} GB of {named(device)} belong to no process that is seen here: to another container, or to a "
            f"process that ended badly; fuser -v /dev/nvidia{device.index}; nvidia-smi --gpu-reset -i {device.index}",
            busy=True,
        )
    if (reading.raw("display") or {}).get("active"):
        warn(
            f"{named(device)} drives a display, which takes memory and time: systemctl isolate multi-user.target",
            busy=True,
        )


def told_of(reading, pid, parts):
    """``pid 4242 (alice, python) holds 1.1 GB``, as far as it is known."""
    found = reading.process(pid)
    who = f"{found.user}, {found.name}" if found else "not seen from here: of another container, or gone"
    known = [part for part in parts if part is not None]
    return f"pid {pid} ({who}) holds {f'{sum(known) / GIGA:.1f} GB' if known else 'memory, nobody tells how much'}"


def ownerless(reading, held):
    """Bytes in use that no process is told to hold; 0 where that is not told of every process."""
    parts = [part for parts in held.values() for part in parts]
    used = (reading.raw("memory") or {}).get("used")
    return 0 if used is None or None in parts else used - sum(parts)
