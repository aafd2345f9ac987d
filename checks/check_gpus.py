"""The GPUs of this host among each other: data parallel training is as fast as the slowest of them."""

from __future__ import annotations

from collections import Counter

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.models import card_of, equal
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.host.facts import Unknown, Unsupported

ALIKE = {  # what is compared -> how it is taken from a card's readings
    "model": lambda reading, index: reading.raw("name", index),
    "firmware (vBIOS)": lambda reading, index: reading.raw("vbios", index),
    "bytes of memory": lambda reading, index: part(reading.raw("memory", index), "total"),
    "W of power limit": lambda reading, index: part(reading.raw("power", index), "enforced_w"),
    "NVLinks up": lambda reading, index: up(reading.raw("nvlinks", index)),
}
PAIRS = ("nvlinks", "nvlink_errors", "peers", "ancestors")  # of two cards, or of a bridge that joins some: link.*


def part(value, name):
    return value if isinstance(value, Unknown) else value[name]


def up(links):
    return links if isinstance(links, Unknown) else sum(link["active"] for link in links)


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_alike(device, gpus, reading, warn):
    """The GPU is like the others, and has its own UUID."""
    same = [f"gpu{gpu.index}" for gpu in gpus if gpu.index != device.index and gpu.uuid and gpu.uuid == device.gpu.uuid]
    expect(
        not same,
        f"{named(device)} has the UUID of {', '.join(same)}",
        measured=device.gpu.uuid,
        expected="a UUID of its own: programs and schedulers tell cards apart by it",
        likely="a defective infoROM, or a hypervisor that shows one card twice",
        fix="nvidia-smi -L; nvidia-smi -q | grep -e UUID -e Serial; have the card whose infoROM is wrong replaced",
    )
    if len(gpus) == 1:
        return
    odd = {what: told for what, take in ALIKE.items() if (told := difference(device, gpus, reading, take))}
    if odd:
        warn(f"{named(device)} is unlike the others: " + "; ".join(f"{what} {told}" for what, told in odd.items()))
    lacking = lacks(device, gpus, reading)
    if lacking:
        warn(
            f"{named(device)} has no {few(lacking)}, which most of its equals have: what they would tell was not judged"
        )


def lacks(device, gpus, reading):
    """Readings that this card says it does not have, and most cards of its kind do. A slice has fewer of them (MIG)."""
    own, sliced = reading.all(), (reading.raw("mig") or {}).get("current")
    names = [name for name, value in own.items() if isinstance(value, Unsupported) and name not in PAIRS]
    equals = [
        gpu.index for gpu in gpus if gpu.index != device.index and equal(card_of(own), card_of(reading.all(gpu.index)))
    ]
    have = {name: sum(not isinstance(reading.raw(name, index), Unknown) for index in equals) for name in names}
    return [] if sliced else [name for name in names if have[name] * 2 > len(equals)]


def difference(device, gpus, reading, take):
    """What this card has, and what most of the cards have; None when it is as they are, or did not tell."""
    values = {gpu.index: take(reading, gpu.index) for gpu in gpus}
    told = {index: value for index, value in values.items() if value is not None and not isinstance(value, Unknown)}
    if device.index not in told:
        return None
    own, (usual, count) = told[device.index], Counter(told.values()).most_common(1)[0]
    if count * 2 > len(told):
        return None if own == usual else f"{own}, theirs {usual}"
    return f"{own}, theirs {', '.join(sorted({str(value) for index, value in told.items() if index != device.index}))}"


@pytest.mark.level("quick", priority=3)
@pytest.mark.requires("gpu")
def check_inforom(device, reading):
    """The GPU's infoROM is sound."""
    expect(
        reading("inforom"),
        f"the infoROM of {named(device)} is corrupted",
        measured="NVML code 14 (CORRUPTED_INFOROM)",
        expected="its checksum is right",
        likely="the memory that holds the card's own settings and error counts is damaged",
        fix=f"nvidia-smi --gpu-reset -i {device.index}; replace the card when it stays",
    )
