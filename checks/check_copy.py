"""Copies by the driver alone: within each GPU, to and from the host, and to every other GPU; what arrives is compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.cuda_errors import answered
from paddle_bootstrap.harness.devices import Device, devices
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.models import card_of
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.notes import notes_on
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.toml import shipped

TABLES = shipped(Path(__file__).parent / "limits.toml")
LIMITS = TABLES["copy"]
EXCLUSIVE = TABLES["compute_mode"]["exclusive"]  # one process at a time: no two may meet on a card
SEAT = (
    "seat the card and its riser; BIOS link speed; dmesg | grep -i -e aer -e 'limited by'; nvidia-smi -q -d PCIE -i {}"
)


class Pair(NamedTuple):
    """A copy from one card to another, in which round it was made, and what it gave."""

    source: Device
    peer: Device
    step: int
    gbs: float
    got: Mapping[str, Any]
    level: int | None  # of the nearest bridge that both are below, as NVML has it; None: not known

    @property
    def way(self) -> str:
        if self.got["nvlink"]:
            return "over NVLink"
        return "directly" if self.got["access"] else "through the host"

    @property
    def told(self) -> str:
        """In the words of ``nvidia-smi topo -m``."""
        between = LIMITS["levels"].get(str(self.level))
        return f"{self.way}, {between}" if between else self.way

    @property
    def kind(self) -> tuple[object, ...]:
        """What pairs have in common that are equally fast on a sound host."""
        return self.way, self.got["rank"], self.level, self.peer.gpu and self.peer.gpu.name

    @property
    def comparable(self) -> bool:
        return bool(self.got["nvlink"]) or self.level is not None


@pytest.mark.level("standard", seconds=2.5, priority=1)
@pytest.mark.requires("gpu")
def check_device(device, cuda, measure, speed):
    """Memory of the GPU copies fast and right.

    Fix: see memory.rows, power.throttle and mode.neighbours
    """

    def copied(**how):
        got = answered(cuda("driver_copy.device", device=device.index, **how), device)
        expect_same(got, f"copies within {named(device)} bring", likely="defective memory", fix="see words.pattern")
        return got

    if is_slice(device):  # no floor is known of a slice
        measure("copy_device", copied()["gbs"], "GB/s", judged=False)
    else:
        speed("copy_device", "GB/s", copied, "gbs")


@pytest.mark.level("standard", seconds=0.5, per_gpu=1.2, priority=1)
@pytest.mark.requires("gpu")
def check_host(device, cuda, measure, warn):
    """Pinned memory of the host copies fast and right.

    Fix: see copy.link_under_load, link.pcie_width and link.pcie_slot
    """
    got = answered(cuda("driver_copy.host", device=device.index, alone=True), device)
    expect_same(
        got,
        f"copies from {named(device)} to the host and back bring",
        likely="the PCI link, or the host's memory",
        fix="dmesg | grep -i -e aer -e mce -e edac; seat the card; test the host's memory",
    )
    near = got["near"]
    if near["processors"] == 0:
        warn(
            f"{device.label} is on NUMA node {near['node']}, and this process may use none of that node's processors: "
            "its copies went across; look at the container's or the scheduler's processor set"
        )
    measure("copy_to_device", got["to_device"], "GB/s", judged=not is_slice(device))
    measure("copy_from_device", got["to_host"], "GB/s", judged=not is_slice(device))


@pytest.mark.level("standard", seconds=2.5, priority=1)
@pytest.mark.requires("gpu")
def check_link_under_load(device, cuda, reading):
    """The PCI link reaches its speed when it works.

    Fix: see link.pcie_width and link.pcie_slot
    """
    pcie = reading("pcie")
    if not pcie["max_generation"]:
        raise NotSupported(f"{device.label} does not tell the PCI generation of itself and its slot")
    answered(cuda("driver_copy.keep", device=device.index, seconds=LIMITS["link_seconds"]), device)
    load = cuda.load()
    if load is None or load.pcie_generation is None:
        pytest.skip(
            f"the PCI link of {device.label} could not be read while it worked: see nvml.answers[{device.label}]"
        )
    seen, wanted = load.pcie_generation, pcie["max_generation"]
    expect(
        seen >= wanted,
        f"the PCI link of {named(device)} stays at generation {seen} under load",
        measured=f"generation {seen}, the highest in {load.seconds:g} s of copies",
        expected=f"generation {wanted}, which both the card and its slot can",
        likely="a bad contact or riser, or a limit in the BIOS",
        fix=SEAT.format(device.index),
    )
    if load.pcie_width and pcie["width"]:
        expect(
            load.pcie_width >= pcie["width"],
            f"the PCI link of {named(device)} loses lanes under load",
            measured=f"x{load.pcie_width}, the lowest in {load.seconds:g} s of copies",
            expected=f"x{pcie['width']}, as before",
            likely="a bad contact or riser",
            fix=SEAT.format(device.index),
        )


@pytest.mark.level("standard", seconds=0.5, per_gpu=1.2, priority=2)
@pytest.mark.requires("gpu")
def check_peers(device, host, gpus, cuda, reading, measure, warn, request):
    """Copies to every other GPU are right, and fast.

    Fix: see link.nvlink, link.fabric and link.peer_access
    """
    if len(gpus) == 1:
        raise NotSupported(f"{device.label} is the only GPU that is meant")
    if any(is_slice(other) for other in devices(host)):
        raise NotSupported("a MIG slice does not reach other GPUs")
    ring = [other for other in devices(host) if other.gpu in gpus]
    exclusive = {"alone": True} if str(reading.raw("compute_mode")) in EXCLUSIVE else {}
    levels = {device.index: reading.raw("ancestors"), **reading.others("ancestors")}
    own, every = [], []
    for step in range(1, len(ring)):  # a round: each GPU copies to another one, and none is copied to twice
        peer = ring[(ring.index(device) + step) % len(ring)]
        told = {device.label: onward(device, peer, cuda, ring, step, **exclusive), **cuda.others()}
        pairs = list(pairs_of(told, ring, step, levels))
        own += [pair for pair in pairs if pair.source == device]
        every += pairs
        rows = (f"to {pair.peer.label}: {pair.gbs:.1f} GB/s {pair.told}" for pair in sorted(own, key=lambda p: p.gbs))
        notes_on(request.node).evidence["peers, the slowest first"] = "\n".join(rows)
    measure("copy_peers", median(pair.gbs for pair in own), "GB/s", judged=False)
    measure("copy_peers_slowest", min(pair.gbs for pair in own), "GB/s", judged=False)
    wire = wire_of(device, own, reading, warn)

    def again(pair):
        return onward(device, pair.peer, cuda, ring, pair.step, alone=True)["gbs"]

    for pair in own:
        expect_fast(pair, [*wire_bar(pair, wire), *equals_bar(pair, every)], again)


def pairs_of(told, ring, step, levels):
    """What one round gave on all cards; those whose copy failed have nothing to compare."""
    by_label, by_ordinal = {card.label: card for card in ring}, {card.ordinal: card for card in ring}
    for label, got in told.items():
        if "gbs" in got:
            source, peer = by_label[label], by_ordinal[got["peer"]]
            towards = levels.get(source.index)
            level = towards.get(peer.index) if isinstance(towards, Mapping) else None
            yield Pair(source, peer, step, got["gbs"], got, level)


def onward(device, peer, cuda, ring, step, **how):
    """What copying from ``device`` to ``peer`` gave; whatever goes wrong, both are named."""
    how |= {"ring": [other.ordinal for other in ring], "step": step, "deadline": LIMITS["peer_seconds"]}
    try:
        got = answered(cuda("driver_copy.onward", device=device.index, **how), device)
    except CheckFailed as failed:
        failed.summary = f"copying from {named(device)} to {named(peer)}: {failed.summary}"
        failed.args = (failed.summary,)
        raise
    way = "directly" if got["access"] else "through the host"
    expect_same(
        got,
        f"copies from {named(device)} to {named(peer)}, {way}, bring",
        likely="ACS or the IOMMU stands between the GPUs (NVIDIA/nccl#257)"
        if got["access"]
        else "the PCI link of either",
        fix="boot with iommu=pt, switch ACS off for the bridges above the GPUs; confirm with NCCL_P2P_DISABLE=1",
    )
    return got


def expect_fast(pair, bars, again):
    """``bars``: [(GB/s, what that is)]. A pair that is slow beside the others is tried again alone."""
    rate = pair.gbs
    if any(rate < least for least, _ in bars):
        rate = max(rate, again(pair))
    nvlink = pair.got["nvlink"]
    for least, what in bars:
        expect(
            rate >= least,
            f"copies from {named(pair.source)} to {named(pair.peer)} {pair.way} are slow",
            measured=f"{rate:.1f} GB/s, alone too",
            expected=f"{least:.1f} GB/s: {what}",
            likely="a link that is down or makes errors"
            if nvlink
            else "the PCI link of either, or what lies between them",
            fix=f"nvidia-smi nvlink -s -e -i {pair.source.index}; see link.nvlink"
            if nvlink
            else "nvidia-smi topo -m; see copy.host, copy.link_under_load and link.pcie_width of both",
        )


def wire_bar(pair, wire):
    """A share of what the NVLinks between two cards carry one way."""
    if pair.got["nvlink"] and wire:
        share = LIMITS["nvlink_share"]
        yield share * wire, f"{share:g} of the {wire:.0f} GB/s that the links between them carry"


def equals_bar(pair, every):
    """A share of the median of all pairs of the host that have such a way: enough of them have one."""
    equals = [other.gbs for other in every if other.kind == pair.kind]
    if pair.comparable and len(equals) >= LIMITS["equals_least"]:
        share, usual = LIMITS["equals_share"], median(equals)
        yield share * usual, f"{share:g} of {usual:.1f}, the median of {len(equals)} pairs {pair.told}"


def wire_of(device, own, reading, warn):
    """GB/s one way of the NVLinks to each of the GPUs that they lead to; None where there are none, or none known.

    Behind a switch all links lead to each peer; without one they are shared out, evenly or nearly so.
    """
    peers = sum(pair.got["nvlink"] for pair in own)
    if not peers:
        return None
    model, links = card_of(reading.all()).model, reading.raw("nvlinks")
    if model is None or not model.nvlink_gbs:
        warn(f"no baseline for copies over NVLink from {device.label}: what its links carry is not known")
        return None
    active = sum(link["active"] for link in links) if isinstance(links, list) else model.nvlink_links
    each = active if peers >= LIMITS["switch_peers"] else max(active // peers, 1)
    return each * model.nvlink_gbs / 2 / model.nvlink_links


def expect_same(got, what, *, likely, fix):
    """Fail where what arrived is not what was sent."""
    first = got["first"]
    expect(
        got["wrong"] == 0,
        f"{what} wrong bytes",
        measured=first
        and f"{got['wrong']} of {got['bytes'] // 4} words wrong; the first, at byte {first['offset']}, "
        f"is 0x{first['found']:08x}",
        expected=first and f"0x{first['expected']:08x}, as it was sent",
        likely=likely,
        fix=fix,
    )


def is_slice(device):
    return device.gpu is not None and device.gpu.mig is True
