"""The GPU's free memory, word by word: written, and read again once all of it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.harness.cuda_errors import answered
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).parent / "limits.toml")["words"]
GIB = 2**30


@pytest.mark.level("standard", seconds=3, priority=2)
@pytest.mark.requires("gpu")
def check_pattern(device, cuda, warn):
    """Free memory keeps what is written to it.

    Fix: see mode.neighbours and memory.rows
    """
    judge(device, cuda, warn, LIMITS["standard"])


@pytest.mark.level("deep", seconds=20, priority=2)
@pytest.mark.requires("gpu")
def check_patterns(device, cuda, warn):
    """Free memory keeps six patterns.

    Fix: see mode.neighbours and memory.rows
    """
    judge(device, cuda, warn, LIMITS["deep"])


def judge(device, cuda, warn, how):
    arguments = {"share": how["share"], "patterns": how["patterns"], "seed": LIMITS["seed"]}
    got = answered(cuda("driver_words.words", device=device.index, deadline=how["deadline"], **arguments), device)
    expect(
        got["bytes"] >= LIMITS["had_share"] * got["wanted"] > 0,
        f"{named(device)} does not give the memory that it says is free",
        measured=f"{gib(got['bytes'])} of {gib(got['wanted'])} could be had; {gib(got['free'])} of {gib(got['total'])} are free",
        expected=f"{LIMITS['had_share']:.0%} of it",
        likely="another process takes memory at the same time, or the GPU's memory lies in pieces",
        fix=f"nvidia-smi -q -d MEMORY,PIDS -i {device.index}; see mode.neighbours",
    )
    expect_kept(device, got)
    if got["bytes"] < LIMITS["tested_share"] * got["total"]:
        warn(
            f"only {gib(got['bytes'])} of the {gib(got['total'])} of {device.label} were tested: the rest is in use; "
            "see mode.neighbours"
        )


def expect_kept(device, got):
    wrong = {name: told for name, told in got["patterns"].items() if told["wrong"]}
    if not wrong:
        return
    name, told = next(iter(wrong.items()))
    first = told["first"]
    among = f"; of {len(got['patterns'])} patterns wrong: {', '.join(wrong)}" if len(got["patterns"]) > 1 else ""
    expect(
        False,
        f"{named(device)} lost {told['wrong']} words of the {name} pattern, the first at {gib(first['offset'])}",
        measured=f"byte 0x{first['offset']:x} of {gib(got['bytes'])}: 0x{first['found']:08x}; "
        f"wrong bits 0x{told['bits']:08x}{among}",
        expected=f"0x{first['expected']:08x}, as it was written",
        likely="defective memory",
        fix=f"nvidia-smi -q -d ECC,ROW_REMAPPER -i {device.index}; reset the GPU and test again; replace it when it returns",
    )


def gib(count):
    return f"{count / GIB:.2f} GiB" if count >= GIB / 10 else f"{count / 2**20:.2f} MiB"
