"""Heat, power and clocks of each GPU at rest, by the card's own limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.models import card_of, equal
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
COOLING = (
    "fans, dust, blanking panels and the temperature of the room; the paste of this card when its neighbours are cool"
)


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_temperature(device, reading, warn):
    """The GPU is cooler than its own limits."""
    now, limits = reading("temperature"), reading("temperature_limits")
    slows, most = limits["slowdown"], limits["gpu_max"]
    memory, memory_most = reading.raw("memory_temperature"), limits["memory_max"]
    if slows is None and most is None:
        raise NotSupported(f"{device.label} tells no limits of its temperature")
    expect(
        slows is None or now < slows,
        f"{named(device)} is at {now} C, where it slows down",
        measured=f"{now} C",
        expected=f"below {slows} C, the card's own limit",
        likely="a fan has failed or the air is blocked",
        fix=f"{COOLING}; nvidia-smi -q -d TEMPERATURE -i {device.index}",
    )
    hot = memory_most is not None and isinstance(memory, int) and memory >= memory_most
    expect(
        not hot,
        f"the memory of {named(device)} is at {memory} C, where it slows down",
        measured=f"{memory} C",
        expected=f"below {memory_most} C, the card's own limit",
        likely="the air is blocked, or the pads on the memory have lost their contact",
        fix=f"{COOLING}; nvidia-smi -q -d TEMPERATURE -i {device.index}",
    )
    if most is not None and now >= most:
        warn(
            f"{named(device)} is at {now} C before any load; {most} C is the most that it is made for: look at {COOLING}"
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_throttle(device, reading, warn):
    """Nothing holds the GPU's clocks down at rest."""
    bits = reading("throttle_reasons")
    for reason in LIMITS["throttle"]["reasons"]:
        told = f"{reason['says']} on {named(device)}"
        if bits & reason["bit"] and reason["warns"]:
            warn(f"{told}: {reason['fix']}")
        expect(
            reason["warns"] or not bits & reason["bit"],
            told,
            measured=f"reasons {bits:#x}",
            expected=f"bit {reason['bit']:#x} is not set at rest",
            likely=reason["likely"],
            fix=f"{reason['fix']}; nvidia-smi -q -d PERFORMANCE -i {device.index}",
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_limit(device, reading, warn):
    """The GPU may draw the power it was made for."""
    power = reading("power")
    now, usual = power["enforced_w"], power["default_w"]
    if now is None or usual is None:
        raise NotSupported(f"{device.label} does not tell its power limits")
    if now < LIMITS["power_limit"]["least_share"] * usual:
        warn(
            f"{named(device)} is limited to {now:.0f} W of {usual:.0f} W: floors of performance do not apply; "
            f"nvidia-smi -pl {usual:.0f} -i {device.index}, or accept it"
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_clocks(device, reading, warn):
    """Nobody has locked the GPU's clocks."""
    clocks, locked = reading("clocks"), reading.raw("application_clocks") or {}
    for kind in ("graphics", "memory"):
        now, usual = locked.get(kind), locked.get(f"default_{kind}")
        if now is not None and usual is not None and now != usual:
            warn(
                f"application clocks of {named(device)} are set: {kind} at {now} MHz, by default {usual} MHz; "
                f"nvidia-smi -rac -i {device.index}"
            )
    own, cards = card_of(reading.all()), reading.others("clocks")
    peers = [other["max_sm"] for index, other in cards.items() if equal(own, card_of(reading.all(index)))]
    highest = max((clock for clock in peers if clock is not None), default=None)
    if highest is not None and clocks["max_sm"] is not None and clocks["max_sm"] < highest:
        warn(
            f"{named(device)} goes to {clocks['max_sm']} MHz, an equal card here to {highest} MHz; "
            f"nvidia-smi -rgc -i {device.index}"
        )
