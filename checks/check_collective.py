"""Processes that work together: operations over all ranks give right values in time, and replicas of a model stay equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.alike import standing
from paddle_bootstrap.harness.channel import WorkloadFailed
from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.models import named
from paddle_bootstrap.harness.notes import notes_on
from paddle_bootstrap.harness.ranks import Problem, Ranks, cause, name_of, problem_of, told_size
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))["collective"]
SPARE = 30.0  # seconds that the workload gets beyond its own deadline, to tell who is where
BANDWIDTH_FIX = "paddle-bootstrap verify --level deep -k collective.nccl_pairs; see link.nvlink, link.peer_access"


def on_cpu(count: int) -> Ranks:
    return Ranks(tuple(f"rank {number}" for number in range(count)))


def on_gpus(gpus, host) -> Ranks:
    """One rank for each GPU. Skips where there is but one: it has nobody to talk to."""
    if len(gpus) < 2:
        raise NotSupported(f"{len(gpus)} GPU: there is none to exchange anything with")
    ordinals = {device.index: device.ordinal for device in devices(host)}
    sizes = [gpu.memory_bytes for gpu in gpus if isinstance(gpu.memory_bytes, int)]
    return Ranks(
        tuple(f"gpu{gpu.index}" for gpu in gpus),
        tuple(ordinals[gpu.index] for gpu in gpus),
        min(sizes, default=None),
        one_way(gpus),
    )


def one_way(gpus) -> float | None:
    """10^9 bytes per second that NVLink carries one way, where every GPU reaches every other by it and all were measured so."""
    if len(gpus) < LIMITS["nvlink_gpus"] or not over_nvlink(gpus):
        return None
    return min(named(gpu.name).nvlink_gbs for gpu in gpus) / 2


def over_nvlink(gpus) -> bool:
    """Whether each GPU is of a model that reaches every other of its board by NVLink."""
    models = [named(gpu.name) for gpu in gpus]
    return all(model and model.nvlink_gbs and not model.bridge for model in models)


def step(do: str, size: int, **more: Any) -> dict[str, Any]:
    return {"do": do, "bytes": size, "times": LIMITS["times"], **more}


def together(run, ranks: Ranks, steps: Sequence[Mapping[str, Any]], settings: Mapping[str, str] | None = None):
    """Run the steps; see workloads/collective.py for what comes back."""
    seconds = LIMITS["start_seconds"] + LIMITS["seconds"]
    return run(
        "collective.together",
        deadline=seconds + SPARE,
        steps=list(steps),
        backend="nccl" if ranks.gpus else "gloo",
        ranks=len(ranks.labels),
        gpus=list(ranks.gpus) if ranks.gpus else None,
        start_seconds=LIMITS["start_seconds"],
        step_seconds=LIMITS["step_seconds"],
        seconds=seconds,
        settings=dict(settings or {}),
    )


def all_right(run, ranks: Ranks, steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each step gave. Fails when one hangs, a rank falls or a value is wrong, with the cause where it can be found."""
    told = together(run, ranks, steps)
    problem = problem_of(told, ranks, steps)
    if problem:
        likely, fix = cause(
            lambda settings: together(run, ranks, steps, settings), ranks, steps, problem, LIMITS["attempts"]
        )
        stop(problem, likely, fix)
    return told["steps"]


def stop(problem: Problem | None, likely: str, fix: str) -> None:
    """Fail with what went wrong, if something did: a crash and a hang are told apart from a wrong value."""
    if problem:
        told = {"measured": problem.measured, "expected": problem.expected, "likely": likely or problem.likely}
        raise WorkloadFailed(problem.cause, problem.summary, {}, fix=fix, **told)


@pytest.mark.level("standard", seconds=5, priority=2)
def check_gloo(run, measure, request):
    """Processes exchange right values on the CPU.

    All-reduce, all-gather and broadcast over gloo, which has no reduce-scatter.
    Fix: see the evidence, what each rank wrote
    """
    ranks = on_cpu(LIMITS["gloo_ranks"])
    steps = [step(do, size) for do in ("all_reduce", "all_gather", "broadcast") for size in LIMITS["gloo_bytes"]]
    record(all_right(run, ranks, steps), ranks, measure, request, "gloo")


@pytest.mark.level("deep", seconds=8, priority=3)
def check_gloo_reduce_scatter(run):
    """Processes scatter a sum on the CPU, if gloo can.

    Fix: see the evidence, what each rank wrote
    """
    ranks = on_cpu(LIMITS["gloo_ranks"])
    steps = [step("reduce_scatter", LIMITS["gloo_bytes"][0])]
    told = together(run, ranks, steps)
    if told["outcome"] == "raised" and "Unimplemented" in told["how"]:
        raise NotSupported(f"gloo has no reduce-scatter: {told['how']}")
    stop(problem_of(told, ranks, steps), "", ranks.fix)


@pytest.mark.level("standard", seconds=10, per_gpu=0.5, priority=1)
@pytest.mark.requires("gpu")
def check_nccl(gpus, host, run, measure, warn, request):
    """GPUs exchange right values, fast enough.

    Fix: dmesg | grep -i -e xid -e nvrm; nvidia-smi topo -m
    """
    ranks = on_gpus(gpus, host)
    size = message(LIMITS["nccl_bytes"], ranks)
    told = all_right(run, ranks, [step(do, size) for do in LIMITS["operations"]])
    record(told, ranks, measure, request, "nccl")
    expect_fast(next(one for one in told if one["do"] == "all_reduce"), ranks, gpus, warn)


@pytest.mark.level("deep", seconds=40, per_gpu=1, priority=2)
@pytest.mark.requires("gpu")
def check_nccl_sweep(gpus, host, run, measure, warn, request):
    """GPUs sum messages of every size.

    Fix: dmesg | grep -i -e xid -e nvrm; nvidia-smi topo -m
    """
    ranks = on_gpus(gpus, host)
    sizes = dict.fromkeys(message(size, ranks) for size in LIMITS["sweep_bytes"])
    told = all_right(run, ranks, [step("all_reduce", size) for size in sizes])
    record(told, ranks, measure, request, "nccl")
    large = [one for one in told if one["bytes"] >= LIMITS["floor_bytes"]]
    if large:
        expect_fast(max(large, key=lambda one: one["bandwidth"]), ranks, gpus, warn)


@pytest.mark.level("deep", seconds=20, per_gpu=3, priority=2)
@pytest.mark.requires("gpu")
def check_nccl_pairs(gpus, host, run, measure, warn, request):
    """Each GPU sends to each other one.

    Fix: nvidia-smi topo -m; see link.nvlink, link.peer_access and copy.peers
    """
    ranks = on_gpus(gpus, host)
    size = message(LIMITS["pair_bytes"], ranks)
    steps = [step("send", size, pairs=pairs) for pairs in both_ways(rounds(len(ranks.labels)))]
    pairs = [pair for told in all_right(run, ranks, steps) for pair in told["pairs"]]
    speeds = {tuple(pair["ranks"]): pair["bandwidth"] / 1e9 for pair in pairs}
    slowest, usual = min(speeds, key=lambda pair: speeds[pair]), median(speeds.values())
    told = way(ranks, slowest)
    rows = [f"{way(ranks, pair)}: {speed:.1f} GB/s" for pair, speed in sorted(speeds.items(), key=lambda row: row[1])]
    notes_on(request.node).evidence["pairs"] = "\n".join(rows)
    measure("nccl_pairs_median", usual, "GB/s", judged=False)
    measure("nccl_slowest_pair", speeds[slowest], "GB/s", judged=False)
    share = speeds[slowest] / usual
    if ranks.one_way_gbs:
        expect(
            share >= LIMITS["pair_fail"],
            f"{told} is the slowest pair, and too slow",
            measured=f"{speeds[slowest]:.1f} GB/s, the median of {len(speeds)} pairs is {usual:.1f}",
            expected=f"at least {LIMITS['pair_fail']:g} of the median: these GPUs reach each other by the same links",
            likely="a link with errors, or one that trained down",
            fix="see link.nvlink of both GPUs; nvidia-smi nvlink -e",
        )
    elif share < LIMITS["pair_warn"]:
        warn(
            f"{told} is the slowest pair: {speeds[slowest]:.1f} GB/s, the median of {len(speeds)} pairs is {usual:.1f}"
        )


@pytest.mark.level("deep", seconds=60, priority=2)
def check_replicas(gpus, host, run, measure, warn):
    """Replicas of a model stay bit-equal in training.

    Fix: see gemm.repeatable and words.patterns of the GPU that differs, and collective.nccl
    """
    cpu = not gpus
    ranks = on_cpu(LIMITS["gloo_ranks"]) if cpu else on_gpus(gpus, host)
    asked = dict(LIMITS["replicas_cpu" if cpu else "replicas"], do="train")
    one = {**asked, "times": asked.pop("alone"), "alone": True}
    one, all_ = all_right(run, ranks, [one, asked])
    expect_equal(all_, ranks)
    count = len(ranks.labels)
    measure("replicas_images", asked["batch"] * count / all_["seconds"], "images/s", judged=False)
    scaling = one["seconds"] / all_["seconds"]  # of count x one: each replica has as many images as that one
    measure("replicas_scaling", scaling, "share", judged=False)
    if cpu:
        warn("this was the CPU: no GPU was judged")
    elif over_nvlink(gpus) and scaling < LIMITS["replicas_warn"]:
        warn(
            f"{count} GPUs train {scaling * count:.1f} x as many images per second as {ranks.labels[0]} alone: less than "
            f"{LIMITS['replicas_warn']:g} x {count}, though NVLink joins them; see collective.nccl and speed.cnn of each"
        )


def way(ranks: Ranks, pair: Sequence[int]) -> str:
    return f"{ranks.labels[pair[0]]} to {ranks.labels[pair[1]]}"


def expect_equal(told: Mapping[str, Any], ranks: Ranks) -> None:
    for turn, (digests, finite) in enumerate(zip(told["digests"], told["finite"], strict=True)):
        odd = odd_ones(digests)
        expect(
            not odd,
            f"replicas differ after step {turn} on {ranks.named(odd)}",
            measured=few(f"{label} {digest}" for label, digest in zip(ranks.labels, digests, strict=True)),
            expected="the same parameters in every rank, to the last bit",
            likely="silent data corruption: a GPU computes wrongly, or the all-reduce gave it other sums",
            fix="see gemm.repeatable, words.patterns and collective.nccl; take that GPU out of service",
        )
        expect(
            all(finite),
            f"a parameter is not finite after step {turn}",
            measured=ranks.named([number for number, good in enumerate(finite) if not good]),
            expected="finite numbers",
            likely="a GPU computes wrongly",
            fix="see gemm.repeatable and training.fp32",
        )


def odd_ones(digests: Sequence[str]) -> list[int]:
    """Those that are unlike most; all of them where most are not alike, as where two differ."""
    told = {str(number): digest for number, digest in enumerate(digests)}
    others = ({label: other for label, other in told.items() if label != own} for own in told)
    return [number for number, rest in enumerate(others) if standing(digests[number], rest).odd]


def message(size: int, ranks: Ranks) -> int:
    """So many bytes, or what leaves room for the copies that are compared."""
    return size if ranks.memory is None else min(size, ranks.memory // LIMITS["memory_part"])


def record(told: Sequence[Mapping[str, Any]], ranks: Ranks, measure, request, prefix: str) -> None:
    """The bandwidth of each operation, and in which order the ranks came to it."""
    rows = [f"{name_of(one)}: {who_comes_last(one, ranks)}" for one in told]
    notes_on(request.node).evidence["ranks"] = "\n".join(rows)
    for one in told:
        name = f"{prefix}_{one['do']}_{told_size(one['bytes']).replace(' ', '')}"
        measure(name, one["bandwidth"] / 1e9, "GB/s", judged=False)


def who_comes_last(told: Mapping[str, Any], ranks: Ranks) -> str:
    latest = max(range(len(ranks.labels)), key=lambda number: told["late"][number])
    return f"{ranks.labels[latest]} comes last, {told['late'][latest] * 1e3:.1f} ms after the first"


def expect_fast(told: Mapping[str, Any], ranks: Ranks, gpus, warn) -> None:
    """Floors are one-sided: switches that add up by themselves come out above the wire."""
    speed = told["bandwidth"] / 1e9
    late = who_comes_last(told, ranks)
    if ranks.one_way_gbs is None:
        if over_nvlink(gpus):
            warn(f"no baseline for all-reduce over NVLink on {len(gpus)} GPUs: recorded")
        if speed < LIMITS["pcie_warn_gbs"]:
            warn(f"all-reduce reaches {speed:.1f} GB/s, less than {LIMITS['pcie_warn_gbs']:g} ({late})")
        return
    share = speed / ranks.one_way_gbs
    expect(
        share >= LIMITS["nvlink_fail"],
        f"all-reduce reaches {speed:.0f} GB/s, {share:.0%} of NVLink's {ranks.one_way_gbs:.0f} one way ({late})",
        measured=f"{speed:.1f} GB/s on the bus, for {told_size(told['bytes'])}",
        expected=f"at least {LIMITS['nvlink_fail'] * ranks.one_way_gbs:.0f} GB/s: {LIMITS['nvlink_fail']:g} of one way",
        likely="a link is down or has errors, the fabric is not ready, or P2P is off",
        fix=BANDWIDTH_FIX,
    )
    if share < LIMITS["nvlink_warn"]:
        warn(f"all-reduce reaches {speed:.0f} GB/s, {share:.0%} of NVLink's {ranks.one_way_gbs:.0f} one way ({late})")


def rounds(count: int) -> list[list[list[int]]]:
    """Every pair once, in rounds of pairs that share no rank: the circle method."""
    seats = list(range(count + count % 2))
    found = []
    for _ in range(len(seats) - 1):
        facing = zip(seats[: len(seats) // 2], reversed(seats), strict=False)
        found.append([sorted(pair) for pair in facing if max(pair) < count])
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def both_ways(rounds_: Sequence[Sequence[Sequence[int]]]) -> list[list[list[int]]]:
    return [[list(way(pair)) for pair in pairs] for pairs in rounds_ for way in (list, reversed)]
