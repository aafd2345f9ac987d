"""Computing by the driver alone: how long a kernel takes to start, and whether results are the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.alike import standing
from paddle_bootstrap.harness.cuda_errors import answered
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).parent / "limits.toml")["compute"]
CORRUPTION = "silent data corruption: a defective GPU"
REPLACE = "take it out of service; see words.pattern; dcgmi diag -r 3; replace it when it returns"
KERNELS = ("integers", "floats")


@pytest.mark.level("standard", seconds=1, priority=2)
@pytest.mark.requires("gpu")
def check_launch(device, cuda, measure, warn):
    """A kernel starts and ends within microseconds.

    Fix: see host.driver_loaded and nvml.answers
    """
    got = answered(cuda("driver_compute.launch", device=device.index), device)
    measure("launch", got["us"], "us", judged=False)
    if got["us"] > LIMITS["launch_warns_us"]:
        warn(
            f"a kernel that does nothing takes {got['us']:.0f} us on {named(device)}, more than {LIMITS['launch_warns_us']}: "
            "processors that sleep deeply, a busy host, or virtualisation; look at cpupower frequency-info and the load"
        )


@pytest.mark.level("standard", seconds=3, priority=1)
@pytest.mark.requires("gpu")
def check_repeatable(device, cuda, warn):
    """Integers and floats come out the same each time.

    Fix: see words.pattern
    """
    for kernel in KERNELS:
        how = {"kernel": kernel, "times": LIMITS["times"], "rounds": LIMITS["rounds"], "seed": LIMITS["seed"]}
        got = answered(cuda("driver_compute.repeat", device=device.index, **how), device)
        expect_one_result(device, kernel, got)
        expect_like_the_cpu(device, kernel, got)
        expect_like_the_others(device, kernel, got["digests"][0], cuda.others())
        if got["units"] < got["multiprocessors"]:
            warn(
                f"only {got['units']} of {got['multiprocessors']} multiprocessors of {named(device)} took part: "
                "another process, or a limit of MPS, keeps the rest"
            )


def expect_one_result(device, kernel, got):
    units = sorted({unit for run in got["odd"] for unit in run["units"]})
    expect(
        not got["odd"],
        f"{named(device)} computed {len(set(got['digests']))} different results from the same {kernel}",
        measured=f"{len(got['odd'])} of {len(got['digests'])} runs differ: {few(map(told_of, got['odd']))}",
        expected="the same bits each time",
        likely=f"{CORRUPTION}{f', on multiprocessor {units[0]}' if len(units) == 1 else ''}",
        fix=REPLACE,
    )


def told_of(run):
    units = ", ".join(map(str, run["units"]))
    return f"run {run['run'] + 1} in {run['blocks']} blocks on multiprocessors {units}"


def expect_like_the_cpu(device, kernel, got):
    first = got["wrong"][0] if got["wrong"] else None
    expect(
        first is None,
        f"{named(device)} computes {kernel} otherwise than the CPU",
        measured=first
        and f"thread {first['thread']}: 0x{first['found']:08x}; {len(got['wrong'])} of {got['compared']} differ",
        expected=first and f"0x{first['expected']:08x}, as the CPU has it",
        likely=CORRUPTION,
        fix=REPLACE,
    )


def expect_like_the_others(device, kernel, own, others):
    """Whose result is another than that of most equal cards is the odd one out; of two cards nobody can tell which."""
    results = {label: told["digests"][0] for label, told in others.items() if told["error"] is None}
    found = standing(own, results)
    names = ", ".join(sorted(found.different))
    digests = ", ".join(sorted({results[label][:12] for label in found.different}))
    expect(
        not found.odd,
        f"{named(device)} computes {kernel} otherwise than {names}",
        measured=f"result {own[:12]}; {names}: {digests}",
        expected="the same bits on equal cards",
        likely=CORRUPTION if len(found.different) > 1 else f"{CORRUPTION}: this one, or {names}",
        fix=REPLACE,
    )
