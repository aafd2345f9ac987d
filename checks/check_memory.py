"""The memory of each GPU, as its own counters tell: its size, the errors it had, the rows and pages it gave up."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.models import model_of
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
GIGA = 1e9
REPLACE = (
    "take the card out of service and have it replaced; evidence: nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT"
)
DEFECT = "a defective memory chip or cell"


def reset(device):
    return f"end what runs on it, then: nvidia-smi --gpu-reset -i {device.index}"


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_size(device, reading, warn):
    """The GPU has the memory of its model."""
    total = reading("memory")["total"]
    pci_id, name, brand = reading("pci_device_id"), reading.raw("name"), reading.raw("brand")
    model = model_of(pci_id, name)
    if brand in LIMITS["memory_size"]["virtual_brands"]:
        warn(f"{named(device)} is a virtual GPU, of which {total / GIGA:.1f} GB were compared with nothing")
        return
    if model is None:
        what = f"{name or 'a model'} (PCI id {pci_id})"
        warn(f"{named(device)}: {what} is in no table: its {total / GIGA:.1f} GB were compared with nothing")
        return
    share = total / (model.memory_gb * GIGA)
    expect(
        share >= LIMITS["memory_size"]["least_share"],
        f"{named(device)} has {total / GIGA:.1f} GB of its model's {model.memory_gb} GB",
        measured=f"{total} bytes",
        expected=f"{LIMITS['memory_size']['least_share']:.0%} of {model.memory_gb} GB or more, as every {model.name}",
        likely="a memory stack was switched off after an error, or MIG or a hypervisor holds a part",
        fix=f"nvidia-smi -q -d MEMORY -i {device.index}; {reset(device)}; replace the card when it stays",
    )
    if share > LIMITS["memory_size"]["modified_share"]:
        warn(
            f"{named(device)} has {total / GIGA:.1f} GB, but {model.name} is made with {model.memory_gb} GB: a modified card, "
            "of which no maker promises anything"
        )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_rows(device, reading, warn):
    """Rows of memory were remapped in time."""
    rows = reading("rows")
    expect(
        not rows["failed"],
        f"a defective row of memory could not be remapped on {named(device)}",
        measured=f"remapping failed; {rows['uncorrected']} rows were remapped for uncorrectable errors",
        expected="no failed remapping",
        likely="the memory bank with the defect has no spare row left",
        fix=REPLACE,
    )
    most = LIMITS["rows"]["uncorrected"]
    expect(
        rows["uncorrected"] < most,
        f"{rows['uncorrected']} rows of memory were remapped for uncorrectable errors on {named(device)}",
        measured=rows["uncorrected"],
        expected=f"fewer than {most}",
        likely=DEFECT,
        fix=REPLACE,
    )
    expect(
        not rows["pending"],
        f"a row of memory waits to be remapped on {named(device)}",
        measured="a remapping is pending",
        expected="none: the defective row is in use until the next reset",
        likely="an error that ECC could not correct (Xid 63) since the last reset",
        fix=reset(device),
    )
    banks = reading.raw("row_banks")
    if banks and banks["none"]:
        warn(f"{banks['none']} memory banks of {named(device)} have no spare row left: their next defect is a failure")


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_pages(device, reading):
    """Few pages of memory were retired."""
    pages = reading("retired_pages")
    retired, most = pages["single"] + pages["double"], LIMITS["pages"]["retired"]
    expect(
        retired < most,
        f"{retired} pages of memory are retired on {named(device)}",
        measured=f"{pages['single']} for repeated corrected errors, {pages['double']} for uncorrectable ones",
        expected=f"fewer than {most}: the card has room for 64",
        likely=DEFECT,
        fix=REPLACE,
    )
    expect(
        not pages["pending"],
        f"pages of memory wait to be retired on {named(device)}",
        measured="a retirement is pending",
        expected="none: the defective page is in use until the driver loads again",
        likely="an error that ECC could not correct since the driver was loaded",
        fix=reset(device),
    )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_ecc_uncorrected(device, reading):
    """No memory error since the driver was loaded."""
    errors = reading("ecc_uncorrected")
    expect(
        errors <= LIMITS["ecc"]["uncorrected"],
        f"{errors} memory errors that ECC could not correct on {named(device)}",
        measured=f"{errors} since the driver was loaded",
        expected="none",
        likely=DEFECT,
        fix=f"see memory.rows and memory.pages; {reset(device)}; replace the card when errors return",
    )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_ecc_sram(device, reading):
    """The chip's own memories (SRAM) are sound."""
    sram, most = reading("ecc_sram"), LIMITS["ecc"]["sram_uncorrected"]
    expect(
        not sram["threshold_exceeded"],
        f"{named(device)} says itself that its SRAM errors are too many",
        measured=f"the card's threshold is exceeded; {sram['uncorrected']} uncorrectable errors in its life",
        expected="not exceeded",
        likely="a defect of the chip; no row can stand in for it",
        fix=REPLACE,
    )
    expect(
        sram["uncorrected"] <= most,
        f"{sram['uncorrected']} uncorrectable SRAM errors in the life of {named(device)}",
        measured=sram["uncorrected"],
        expected=f"at most {most}",
        likely="a defect of the chip; no row can stand in for it",
        fix=REPLACE,
    )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_ecc_corrected(device, reading, warn):
    """Corrected memory errors are no flood."""
    errors, most = reading("ecc_corrected"), LIMITS["ecc"]["corrected"]
    if errors > most:
        warn(
            f"{errors:,} corrected memory errors on {named(device)} since the driver was loaded, more than {most:,}: "
            "watch it, and replace the card when they grow under load"
        )


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_ecc_mode(device, reading, warn):
    """ECC is on, and stays on."""
    mode = reading("ecc_mode")
    switch = f"nvidia-smi -e 1 -i {device.index}, then reset the card"
    if mode["pending"] != mode["current"]:
        warn(f"ECC of {named(device)} is {on(mode['current'])} and will be {on(mode['pending'])} after the next reset")
    elif not mode["current"]:
        warn(f"ECC is off on {named(device)}: wrong bits go unseen; {switch}")


def on(flag):
    return "on" if flag else "off"
