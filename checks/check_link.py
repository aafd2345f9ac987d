"""The links of each GPU: its slot, NVLink, the NVSwitch fabric, and whether it reaches the other GPUs.

The PCI generation falls when a GPU idles, so it is judged under load: copy.link_under_load.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.given import giver
from paddle_bootstrap.harness.models import card_of
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
FABRIC, PEERS = LIMITS["fabric"], LIMITS["peer_access"]
SEAT = "seat the card and its riser; compare the neighbouring slot; dmesg | grep -i -e aer -e 'limited by'"
LINKS = "nvidia-smi nvlink -s -e -i {}"
MANAGER = (
    "systemctl restart nvidia-fabricmanager, whose version must equal the driver's; journalctl -u nvidia-fabricmanager"
)


def model(reading):
    return card_of(reading.all()).model


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_pcie_width(device, reading):
    """The slot gives the GPU all its lanes."""
    pcie, known = reading("pcie"), model(reading)
    width, wanted = pcie["width"], known.pcie_width if known else pcie["max_width"]
    if width is None or wanted is None:
        raise NotSupported(f"{device.label} does not tell the width of its PCI link")
    expect(
        width >= wanted,
        f"{named(device)} has {width} of {wanted} PCI lanes",
        measured=f"x{width}; the card and its slot could x{pcie['max_width']}",
        expected=f"x{wanted}",
        likely="a card or riser that is not seated, dirty contacts, or lanes that the BIOS gave to another slot (bifurcation)",
        fix=f"{SEAT}; nvidia-smi -q -d PCIE -i {device.index}",
    )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_pcie_slot(device, reading, warn):
    """The slot is of the GPU's own PCI generation."""
    pcie, known = reading("pcie"), model(reading)
    slot, card = pcie["max_generation"], pcie["card_generation"] or (known and known.pcie_generation)
    if not slot or not card:
        raise NotSupported(f"{device.label} does not tell the PCI generations of itself and its slot")
    if card > slot:
        warn(
            f"{named(device)} could PCI generation {card}, its slot {slot}: copies to and from the host are slower; "
            "look for a limit in the BIOS, or accept what the board is made for"
        )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_nvlink(device, host, reading, warn):
    """All NVLinks are up, and without errors."""
    links, known = reading("nvlinks"), model(reading)
    down = [link["link"] for link in links if not link["active"]]
    active, wanted = len(links) - len(down), known.nvlink_links if known else len(links)
    bridged = known is None or known.bridge
    if not active and (bridged or not wanted):
        raise NotSupported(f"nothing is joined to the NVLinks of {device.label}")
    if not active and (reading.raw("mig") or {}).get("current"):
        raise NotSupported(f"{device.label} is sliced (MIG): slices use no NVLink, and its links are off")
    if not active and len(host.gpus) == 1:
        warn(f"no NVLink of {named(device)} is up, and no other GPU is here: one of several cards was passed through")
        return
    if bridged and active < wanted:
        warn(f"{active} of {wanted} NVLinks are up on {named(device)}: it has room for more bridges, or one is loose")
    expect(
        bridged or active >= wanted,
        f"{active} of {wanted} NVLinks are up on {named(device)}",
        measured=f"down: {', '.join(map(str, down)) or 'none of those that answer'}",
        expected=f"{wanted} links, as every {known.name if known else 'such card'}",
        likely="a defective link or a contact of the baseboard"
        if active
        else "the fabric or the links were never started",
        fix=f"{LINKS.format(device.index)}; reset all cards together; seat the baseboard; replace the card when it stays",
    )
    counts = reading.raw("nvlink_errors") or {}
    errors = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    if errors:
        warn(
            f"errors on the NVLinks of {named(device)} since the driver was loaded: {errors}; {LINKS.format(device.index)}"
        )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_fabric(device, host, reading, warn):
    """The NVSwitch fabric has taken the GPU in."""
    fabric = reading("fabric")
    state = fabric["state"]
    if state == FABRIC["none"]:
        raise NotSupported(f"{device.label} is on no NVSwitch fabric that the driver manages")
    if state == FABRIC["in_progress"] and host.uptime and host.uptime < FABRIC["settles_seconds"]:
        pytest.skip(
            f"{named(device)} is still being taken into its fabric, {host.uptime:.0f} s after boot: try again later"
        )
    expect(
        state == FABRIC["completed"],
        f"{named(device)} is not on its NVSwitch fabric: {FABRIC['states'].get(str(state), f'state {state}')}",
        measured=f"fabric state {state}",
        expected=f"state {FABRIC['completed']}: completed",
        likely="Fabric Manager does not run, waits for a card or a switch, or is of another version than the driver",
        fix=MANAGER,
    )
    expect(
        fabric["status"] == 0,
        f"{named(device)} could not be taken into its NVSwitch fabric",
        measured=f"NVML code {fabric['status']} at the end of the registration",
        expected="0",
        likely="a defective NVLink, or a Fabric Manager of another version than the driver",
        fix=MANAGER,
    )
    expect(
        fabric["health"] != FABRIC["unhealthy"],
        f"the NVSwitch fabric of {named(device)} calls itself unhealthy",
        measured=f"health {fabric['health']}",
        expected="1: healthy",
        likely="a link or a switch of the fabric has failed",
        fix=f"{LINKS.format(device.index)}; dmesg | grep -i sxid; {MANAGER}",
    )
    if fabric["health"] == FABRIC["limited"]:
        warn(f"the NVSwitch fabric of {named(device)} works with limited capacity: {LINKS.format(device.index)}")


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_peer_access(device, host, reading, warn):
    """The GPU reaches those that NVLink joins it to."""
    known = model(reading)
    if not any(link["active"] for link in reading("nvlinks")):
        raise NotSupported(f"no NVLink joins {device.label} to another")
    every = reading("peers")
    peers = {f"gpu{index}": status for index, status in every.items() if status != 0}
    if known and known.mesh_peers and (len(every) - len(peers) >= min(known.mesh_peers, len(every)) or giver(host)):
        return  # the others are those that no link joins it to
    said = ", ".join(f"{peer}: {PEERS['says'].get(str(status), f'status {status}')}" for peer, status in peers.items())
    if known is None or known.bridge:  # a bridge joins some of the cards, the others may be out of reach
        if peers:
            warn(f"{named(device)} has a bridge and does not reach {said}")
        return
    expect(
        not peers,
        f"{named(device)} cannot reach {', '.join(peers)}",
        measured=said,
        expected="direct access (peer to peer) to every card that NVLink joins it to",
        likely="ACS or an IOMMU that translates, a fabric that is not up, or a setting of the driver",
        fix=f"nvidia-smi topo -p2p r; see link.fabric[{device.label}]; BIOS: ACS off; kernel: iommu=pt",
    )
