"""Minutes of full power on all cards at once: speed that lasts, memory that keeps, and power that may swing."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.load import reasons
from paddle_bootstrap.harness.notes import notes_on
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))["soak"]
SPARE = 240  # seconds beyond the load: CUDA contexts, matrices, and memory that is filled, on all cards at once
XID = "dmesg | grep -i -e xid -e nvrm -e 'fallen off'; nvidia-smi -q -d TEMPERATURE,POWER,PERFORMANCE"
COOLING = (
    "clean or replace fans and filters, close empty slots with panels, renew the paste; swap two cards and compare"
)
SUPPLY = "check the auxiliary power cables and the power supplies; lower the limit to try: nvidia-smi -pl WATTS"


@pytest.mark.level("deep", seconds=240, priority=1)
def check_power(device, run, measure, warn, request):
    """Full power is kept for minutes, on all cards.

    Fix: nvidia-smi -q -d TEMPERATURE,POWER,PERFORMANCE
    """
    what = LIMITS["power"][device.kind]
    got = run("soak.power", device=device.index, deadline=what["seconds"] + SPARE, **what)
    load = run.load()
    rates = got["rates"]
    keep(request, rates, load)
    expect_there(got["lost"], device, "after {after:.0f} s of full power")
    expect(
        len(rates) >= 3 * LIMITS["window"][device.kind],
        "the load did not last",
        measured=f"{len(rates)} whole seconds",
        expected=f"{what['seconds']} s",
        fix="see the evidence",
    )
    early, late = windows(rates, LIMITS["window"][device.kind])
    others = [told["rates"] for told in run.others().values() if told["lost"] is None]
    measure("soak", late, "TFLOP/s", judged=False)
    expect(
        not got["spoiled"],
        f"memory of {device.label} did not keep what was written into it",
        measured=f"{len(got['spoiled'])} blocks of 256 MiB changed, the first is number {min(got['spoiled'], default=0)}",
        expected="every word as it was written",
        likely="a defective memory chip, or one that fails when it is hot",
        fix="see words.patterns, memory.rows and memory.ecc_uncorrected; take the card out of service",
    )
    if device.kind == "cpu":
        warn("this was the CPU: no GPU was judged")
        return
    expect_no_brake(device, load, warn)
    expect_lasting(device, early, late, load)
    expect_like_others(device, late, [windows(told, LIMITS["window"]["gpu"])[1] for told in others], warn)
    if got["held"] < LIMITS["held"]:
        warn(f"only {got['held']:.0%} of the memory could be held, {what['hold']:.0%} was meant")


@pytest.mark.level("deep", seconds=100, priority=2)
def check_swing(device, run, measure, warn, request):
    """Power may swing on all cards in step.

    Fix: nvidia-smi -q -d TEMPERATURE,POWER,PERFORMANCE
    """
    what = LIMITS["swing"][device.kind]
    got = run("soak.swing", device=device.index, deadline=what["seconds"] + SPARE, **what)
    load = run.load()
    keep(request, got["rates"], load)
    expect_there(got["lost"], device, "at swing {swing}")
    usual = median(got["rates"])
    measure("swing", usual, "TFLOP/s", judged=False)
    if device.kind == "cpu":
        warn("this was the CPU: no GPU was judged")
        return
    expect_no_brake(device, load, warn)
    late = [number for number, seconds in enumerate(got["late"]) if seconds > LIMITS["late_seconds"]]
    judged = [rate for number, rate in enumerate(got["rates"]) if number not in late]
    slow = [rate for rate in judged if rate < LIMITS["swing_share"] * usual]
    told = f"{len(slow)} of {len(judged)} swings were below {LIMITS['swing_share']:g} of the median on {device.label}"
    expect(
        len(slow) <= LIMITS["swing_slow"] * len(judged),
        told,
        measured=f"the slowest {min(slow, default=0):.1f} TFLOP/s, the median {usual:.1f} ({load or 'not sampled'})",
        expected=f"at most {LIMITS['swing_slow']:.0%} of them",
        likely="the supply does not follow: the clock stays down after each step of power",
        fix=SUPPLY,
    )
    if slow:
        warn(f"{told}: {min(slow):.1f} of {usual:.1f} TFLOP/s")
    if late:
        warn(f"{device.label} came late to {len(late)} of {len(got['late'])} swings: the host's processors were busy")


def expect_there(lost, device, when):
    """Fail when the card stopped answering."""
    expect(
        lost is None,
        f"{device.label} was lost {when.format(**(lost or {'after': 0, 'swing': 0}))}",
        measured=str((lost or {}).get("error", "")).strip()[-300:] or "no text",
        expected="a card that computes to the end",
        likely="the power supply or a power cable, heat, or a card that falls off the bus under load",
        fix=XID,
    )


def expect_no_brake(device, load, warn):
    """What the hardware slowed down by itself, seen in any sample."""
    bits = [sample.throttle_reasons for sample in load.samples if sample.throttle_reasons is not None] if load else []
    if not bits:
        warn(f"why {device.label} lowered its clock was not seen: nothing could be sampled")
        return
    shares = {bit: sum(bool(seen & bit) for seen in bits) / len(bits) for bit in reasons()}
    hard = {bit: shares[bit] for bit in LIMITS["hardware_bits"] if shares[bit] > 0}
    expect(
        not hard,
        f"the hardware slowed {device.label} down: "
        + few(f"{reasons()[bit]} {share:.0%}" for bit, share in hard.items()),
        measured=f"{few(f'{bit:#x} in {share:.0%} of the samples' for bit, share in hard.items())} ({load})",
        expected="none of " + ", ".join(f"{bit:#x}" for bit in LIMITS["hardware_bits"]),
        likely="heat" if LIMITS["heat_bit"] in hard else "the power supply asked for less, or power cables are loose",
        fix=COOLING if LIMITS["heat_bit"] in hard else SUPPLY,
    )
    soft = {bit: shares[bit] for bit in LIMITS["warn_bits"] if shares[bit] > 0}
    if soft:
        warn(f"{device.label}: " + few(f"{reasons()[bit]} {share:.0%} of the time" for bit, share in soft.items()))


def expect_lasting(device, early, late, load):
    """The last minute is no slower than the second: the first one heats up."""
    hot = f" at {load.temperature_c:g} C" if load and load.temperature_c is not None else ""
    expect(
        late >= LIMITS["lasting"] * early,
        f"{device.label} lost {1 - late / early if early else 0:.0%} of its speed in the course of the load{hot}",
        measured=f"{late:.1f} TFLOP/s in the last minute, {early:.1f} in the second ({load or 'not sampled'})",
        expected=f"at least {LIMITS['lasting']:g} of the second minute's",
        likely="heat: a fan, dust, a hot slot, old paste",
        fix=COOLING,
    )


def expect_like_others(device, late, others, warn):
    """Equal cards under the same load, at the same time."""
    if not others:
        return
    usual = median(others)
    told = f"{device.label} keeps {late:.1f} TFLOP/s, {late / usual:.0%} of its peers' {usual:.1f}"
    expect(
        late >= LIMITS["peers_fail"] * usual,
        told,
        measured=f"{late:.1f} TFLOP/s in the last minute",
        expected=f"at least {LIMITS['peers_fail']:g} of the median of {len(others)} equal cards, {usual:.1f}",
        likely="heat, a lower power limit or clock, another process on the card",
        fix=COOLING,
    )
    if late < LIMITS["peers_warn"] * usual:
        warn(told)


def windows(rates, seconds):
    """Medians of the second window and of the last one."""
    return median(rates[seconds : 2 * seconds]), median(rates[-seconds:])


def keep(request, rates, load):
    """Rates and samples, thinned out, for whoever looks into it later."""
    evidence = notes_on(request.node).evidence
    step = max(1, len(rates) // LIMITS["kept"])
    evidence["rates"] = " ".join(f"{rate:.4g}" for rate in rates[::step]) + " TFLOP/s"
    if load is None:
        return
    rows = ["seconds,MHz,C,W,reasons"]
    for sample in load.samples[:: max(1, len(load.samples) // LIMITS["kept"])]:
        told = (sample.sm_clock_mhz, sample.temperature_c, sample.power_w, sample.throttle_reasons)
        rows.append(",".join([f"{sample.seconds:.1f}", *("" if value is None else f"{value:g}" for value in told)]))
    evidence["samples"] = "\n".join(rows)
