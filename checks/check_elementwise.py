"""Elementwise operations and reductions with Paddle, over types and odd shapes, beside NumPy on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))["elementwise"]
SECONDS = 120  # deadline


@pytest.mark.level("standard", seconds=2.5, priority=1)
def check_arithmetic(device, run, warn):
    """Elementwise operations give right values.

    Fix: see architecture.machine_code
    """
    what = LIMITS[device.kind]
    got = run("elementwise.arithmetic", device=device.index, deadline=SECONDS, seed=LIMITS["seed"], **what)
    first = got["wrong"][0] if got["wrong"] else {}
    expect(
        not first,
        f"{named(first)} is wrong: {first.get('found')} at {first.get('index')}, not {first.get('expected')}",
        measured=f"{got['wrongs']} of {got['compared']} results are wrong: {few(map(named, got['wrong']))}",
        expected="what NumPy gives, but for rounding",
        likely="the build has no machine code for this GPU (PaddlePaddle/Paddle#73937), or the GPU is defective",
        fix="see architecture.machine_code; if that passes, a newer build: paddle-bootstrap plan; then dcgmi diag -r 3",
    )
    whole = [dtype for dtype in what["dtypes"] if not any(told.startswith(f"{dtype} ") for told in got["right"])]
    expect(
        not whole,
        f"this build has no elementwise operation for {', '.join(whole)}",
        measured=few(got["absent"]),
        expected="some for each of " + ", ".join(what["dtypes"]),
        likely="files of two Paddle versions are mixed",
        fix="see install.files and install.build",
    )
    if got["absent"] and device.kind == "gpu":
        warn(f"this build has no kernel for {few(got['absent'])}: not compared")


def named(wrong):
    return f"{wrong.get('operation')} of {wrong.get('dtype')} [{wrong.get('shapes')}]"
