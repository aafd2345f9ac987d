"""Copies by the driver alone: within each GPU, to and from the host, and to every other GPU; what arrives is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.cuda_errors import answered
from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.models import card_of
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.toml import read

TABLES = read(Path(__file__).parent / "limits.toml")
LIMITS = TABLES["copy"]
EXCLUSIVE = TABLES["compute_mode"]["exclusive"]  # one process at a time: no two may meet on a card
SEAT = (
    "seat the card and its riser; BIOS link speed; dmesg | grep -i -e aer -e 'limited by'; nvidia-smi -q -d PCIE -i {}"
)


@pytest.mark.level("standard", seconds=4, priority=1)
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


@pytest.mark.level("standard", seconds=2, per_gpu=3, priority=1)
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


@pytest.mark.level("standard", seconds=4, priority=1)
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


@pytest.mark.level("standard", seconds=1, per_gpu=3, priority=2)
@pytest.mark.requires("gpu")
def check_peers(device, host, gpus, cuda, reading, measure, warn):
    """Copies to every other GPU are right, and fast.

    Fix: see link.nvlink, link.fabric and link.peer_access
    """
    if len(gpus) == 1:
        raise NotSupported(f"{device.label} is the only GPU that is meant")
    if any(is_slice(other) for other in devices(host)):
        raise NotSupported("a MIG slice does not reach other GPUs")
    ring = [other for other in devices(host) if other.gpu in gpus]
    exclusive = {"alone": True} if str(reading.raw("compute_mode")) in EXCLUSIVE else {}
    found = []
    for step in range(1, len(ring)):  # a round: each GPU copies to another one, and none is copied to twice
        peer = ring[(ring.index(device) + step) % len(ring)]
        found.append((peer, step, onward(device, peer, cuda, ring, step, **exclusive)))
    for peer, _, got in found:
        measure(f"copy_to_{peer.label}", got["gbs"], "GB/s", judged=False)
    expect_fast(device, found, cuda, reading, warn, ring)


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


def expect_fast(device, found, cuda, reading, warn, ring):
    """Pairs with NVLink reach a share of what the links between them carry one way; a slow one is tried again alone."""
    linked = [entry for entry in found if entry[2]["nvlink"]]
    if not linked:
        return
    wire = wire_of(reading, len(linked))
    if wire is None:
        warn(f"no baseline for copies over NVLink from {device.label}: what its links carry is not known")
        return
    floor = LIMITS["nvlink_share"] * wire
    for peer, step, got in linked:
        rate = got["gbs"]
        if rate < floor:
            rate = max(rate, onward(device, peer, cuda, ring, step, alone=True)["gbs"])
        expect(
            rate >= floor,
            f"copies from {named(device)} to {named(peer)} over NVLink are slow",
            measured=f"{rate:.1f} GB/s, alone too",
            expected=f"{floor:.1f} GB/s: {LIMITS['nvlink_share']:g} of the {wire:.0f} GB/s that the links between them carry",
            likely="a link that is down or makes errors",
            fix=f"nvidia-smi nvlink -s -e -i {device.index}; see link.nvlink",
        )


def wire_of(reading, peers):
    """GB/s one way of the NVLinks to one of ``peers`` GPUs; None where the model is not known.

    Behind a switch all links lead to each peer; without one they are shared out, evenly or nearly so.
    """
    model, links = card_of(reading.all()).model, reading.raw("nvlinks")
    if model is None or not model.nvlink_gbs:
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
