"""Processes that work together: really with gloo on the CPU, and with ranks that go wrong as a test says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks import scripted, workload
from tests.checks.judging import fails, judge, passes, warns
from tests.checks.target import FakeTarget

collective = workload.load("collective")
GIB = 1 << 30
A800, L40S = "NVIDIA A800-SXM4-80GB", "NVIDIA L40S"
Judge = Callable[..., CheckResult]
LESS = {"times = 1500, alone = 200": "times = 20, alone = 3", "nvlink_gpus = 8": "nvlink_gpus = 4"}
AT_ONCE = {"LAST_WORDS = 0.3": "LAST_WORDS = 0.05", "STACK = 0.3": "STACK = 0.15"}  # scripted ranks do not hesitate


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    """The check as a site's own, with ranks that obey a script."""
    folder = scripted.copy("collective", tmp_path / "site", LESS)
    workloads = folder / "workloads"
    text = (workload.WORKLOADS / "collective.py").read_text()
    for old, new in AT_ONCE.items():
        assert old in text, old
        text = text.replace(old, new)
    (workloads / "collective.py").write_text(text)
    shutil.copy(workload.WORKLOADS / "rank.py", workloads / "rank_as_it_is.py")
    shutil.copy(Path(__file__).with_name("scripted_rank.py"), workloads / "rank.py")
    return folder


@pytest.fixture
def judged(checks: Path, fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts) -> Judge:
    limits = (checks / "limits.toml").read_text()

    def judged(
        name: str,
        *script: Mapping[str, Any],
        model: str = L40S,
        gpus: int = 3,
        speed: float = 20e9,
        deadlines: Mapping[str, float] = {},
    ) -> CheckResult:
        text = limits.replace("start_seconds = 90.0", f"start_seconds = {deadlines.get('start', 90.0)}")
        text = text.replace("step_seconds = 60.0", f"step_seconds = {deadlines.get('step', 60.0)}")
        (checks / "limits.toml").write_text(text)
        facts = with_gpus(healthy, model, gpus)
        environ = {**os.environ, "FAKE_RANKS": json.dumps(script), "FAKE_SPEED": str(speed)}
        level = {"checks": [checks], "level": "deep", "environ": environ}
        return judge(fake_target, facts, gpu_build, f"scripted.{name} and not scripted.{name}_", **level)[
            f"scripted.{name}"
        ]

    return judged


def with_gpus(facts: HostFacts, model: str, count: int) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    gpus = tuple(replace(facts.gpus[0], index=index, uuid=f"GPU-{index}", name=model) for index in range(count))
    return replace(facts, gpus=gpus)


def at(number: int, does: str, *, step: int | str = 0, turn: int | None = 0, **more: Any) -> dict[str, Any]:
    return {"rank": number, "step": step, "turn": turn, "does": does, **more}


def test_gpus_that_exchange_right_values_pass(judged: Judge) -> None:
    result = judged("nccl")
    passes(result)
    assert [measurement.name for measurement in result.measurements] == [
        "nccl_all_reduce_1GiB",
        "nccl_all_gather_1GiB",
        "nccl_broadcast_1GiB",
        "nccl_reduce_scatter_1GiB",
    ]
    assert result.evidence["ranks"].splitlines()[3].startswith("reduce_scatter of 1 GiB: gpu0 comes last, 0.0 ms")
    assert result.measurements[0].value == pytest.approx(20 * 4 / 3, rel=1e-3)


NO_P2P = ["NCCL_P2P_DISABLE"]
FAULTS = {
    "one does not arrive": (
        at(2, "hangs before", step=1, turn=3),
        ["all_gather of 1 GiB hangs: gpu2 did not arrive", "arrived: gpu0, gpu1; not: gpu2", "gpu2 in hang, line"],
    ),
    "one does not come through": (
        at(0, "hangs inside", step=2),
        ["broadcast of 1 GiB hangs: all 3 ranks arrived, gpu0 did not come through", "all 3 ranks within 1 s"],
    ),
    "the group does not form": (
        at(1, "hangs before", step="forming"),
        ["the forming of the group hangs: gpu1 did not arrive", "within 2 s"],
    ),
    "one dies": (
        at(1, "dies", step=3, turn=1),
        ["gpu1 fell in reduce_scatter of 1 GiB: signal SIGSEGV", "every rank lives"],
    ),
    "one leaves": (at(1, "exits"), ["gpu1 fell in all_reduce of 1 GiB: exit code 3"]),
    "one raises": (
        at(2, "raises", turn=4),
        ["gpu2 fell in all_reduce of 1 GiB: RuntimeError: NCCL error 3: internal error"],
    ),
    "wrong sums": (
        at(1, "is wrong", turn=2),
        ["all_reduce of 1 GiB gives wrong values on gpu1", "turn 2: 3 elements", "number 5: 7", "8: the values"],
    ),
}


HANGS = {  # deadlines that a test can wait for
    "one does not arrive": {"step": 1.0},
    "one does not come through": {"step": 1.0},
    "the group does not form": {"start": 2.0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_is_named_and_why(fault: str, judged: Judge) -> None:
    """Without P2P all of it works: that names the cause."""
    script, words = FAULTS[fault]
    result = judged("nccl", dict(script, unless=NO_P2P), deadlines=HANGS.get(fault, {}))
    fails(result, *words, "with NCCL_P2P_DISABLE=1 it works", "ACS or the IOMMU", "iommu=pt")
    assert result.cause == {"one dies": "crash", "one leaves": "crash", "one raises": "raised"}.get(
        fault, "assertion" if fault == "wrong sums" else "timeout"
    )


def test_shared_memory_is_the_next_suspect(judged: Judge) -> None:
    result = judged("nccl", at(1, "raises", unless=["NCCL_SHM_DISABLE"]))
    fails(result, "with NCCL_P2P_DISABLE=1 NCCL_SHM_DISABLE=1 it works", "/dev/shm is too small", "--shm-size")


def test_what_no_setting_mends_is_not_blamed_on_one(judged: Judge) -> None:
    result = judged("nccl", at(1, "raises"))
    fails(result, "it is the same with NCCL_P2P_DISABLE, NCCL_SHM_DISABLE set", "dmesg")
    assert "internal error" in result.evidence["stderr"]


def test_a_rank_that_comes_late_makes_no_link_slow(judged: Judge) -> None:
    result = judged("nccl", at(2, "comes late", turn=None, seconds=5.0))
    passes(result)
    assert result.measurements[0].value == pytest.approx(20 * 4 / 3, rel=1e-3)
    assert "all_reduce of 1 GiB: gpu2 comes last, 5000.0 ms after the first" in result.evidence["ranks"]


def test_one_gpu_has_nobody_to_talk_to(judged: Judge) -> None:
    result = judged("nccl", gpus=1)
    assert (result.outcome, result.required) == ("skipped", False)
    assert "none to exchange" in result.summary


def test_a_slow_bus_without_nvlink_warns(judged: Judge) -> None:
    late = at(2, "comes late", turn=None, seconds=0.004)
    warns(judged("nccl", late, speed=1e9), "all-reduce reaches 1.3 GB/s, less than 2", "gpu2 comes last, 4.0 ms")


def test_nvlink_has_floors_and_they_are_one_sided(judged: Judge) -> None:
    """Of a whole board of A800, here of 4: 200 GB/s one way; the bus carries 3/2 of the message's speed."""
    at_share = {share: share * 200e9 / 1.5 for share in (0.59, 0.74, 1.2)}
    fails(
        judged("nccl", model=A800, gpus=4, speed=at_share[0.59]), "118 GB/s, 59% of NVLink's 200", "at least 120 GB/s"
    )
    warns(judged("nccl", model=A800, gpus=4, speed=at_share[0.74]), "148 GB/s, 74% of NVLink's 200")
    passes(judged("nccl", model=A800, gpus=4, speed=at_share[1.2]))


def test_fewer_gpus_than_a_board_has_no_floor(judged: Judge) -> None:
    """That is said. One of PCI cards is none that anybody would look for."""
    result = judged("nccl", model=A800, gpus=2, speed=10e9)
    warns(result, "no baseline for all-reduce over NVLink on 2 GPUs: recorded")
    assert len(result.warnings) == 1


def test_the_sweep_goes_through_every_size(judged: Judge) -> None:
    result = judged("nccl_sweep")
    passes(result)
    names = [measurement.name for measurement in result.measurements]
    assert names[0] == "nccl_all_reduce_1KiB"
    assert names[-1] == "nccl_all_reduce_4GiB"
    fails(judged("nccl_sweep", at(0, "is wrong", step=3)), "all_reduce of 64 KiB gives wrong values on gpu0")


def test_the_slowest_pair_is_named(judged: Judge) -> None:
    """Rank 3 sends slowly to rank 1: of L40S that is told, of A800 with equal links it fails."""
    slow = [
        at(3, "is slow", step=step, turn=None, times=4) for step in range(1, 14, 2)
    ]  # odd steps: the second of a pair sends
    result = judged("nccl_pairs", gpus=3)
    passes(result)
    assert "gpu2 to gpu0: 20.0 GB/s" in result.evidence["pairs"].splitlines()
    assert len(result.evidence["pairs"].splitlines()) == 6
    warns(
        judged("nccl_pairs", *slow, gpus=4),
        "gpu3 to gpu",
        "is the slowest pair: 5.0 GB/s, the median of 12 pairs is 20.0",
    )
    fails(
        judged("nccl_pairs", *slow, gpus=4, model=A800),
        "is the slowest pair, and too slow",
        "at least 0.85 of the median",
    )


def test_replicas_are_equal_after_each_step(judged: Judge) -> None:
    result = judged("replicas")
    passes(result)
    told = {one.name: one.value for one in result.measurements}
    assert told == pytest.approx({"replicas_images": 64 * 3 / (1e6 / 20e9), "replicas_scaling": 1.0}, rel=1e-3)
    fails(
        judged("replicas", at(2, "differs", step=1, turn=7)),
        "replicas differ after step 7 on gpu2",
        "gpu0 900d; gpu1 900d; gpu2 0bad",
        "silent data corruption",
    )
    fails(judged("replicas", at(1, "differs", step=1, turn=3), gpus=2), "replicas differ after step 3 on gpu0, gpu1")
    fails(judged("replicas", at(1, "is not finite", step=1, turn=9)), "a parameter is not finite after step 9", "gpu1")


def test_replicas_that_wait_for_each_other(judged: Judge) -> None:
    """Together each step takes twice the time of one GPU alone: over NVLink that is told, over PCI recorded."""
    slow = at(1, "is slow", step=1, turn=None, times=2)
    result = judged("replicas", slow, model=A800, gpus=2)
    warns(result, "2 GPUs train 1.0 x as many images per second as gpu0 alone: less than 0.8 x 2")
    assert result.measurements[1].value == pytest.approx(0.5)
    passes(judged("replicas", slow, gpus=2))


def test_gloo_without_reduce_scatter_excuses_the_check(judged: Judge) -> None:
    result = judged("gloo_reduce_scatter", at(0, "lacks it"))
    assert (result.outcome, result.required) == ("skipped", False)
    assert "gloo has no reduce-scatter: NotImplementedError" in result.summary
    fails(judged("gloo_reduce_scatter", at(1, "is wrong")), "reduce_scatter of 1 KiB gives wrong values on rank 1")
    fails(judged("gloo_reduce_scatter", at(1, "raises")), "rank 1 fell in reduce_scatter of 1 KiB: RuntimeError")
    fails(judged("gloo", at(1, "dies", step=4)), "rank 1 fell in all_gather of 1 MiB: signal SIGSEGV", "--ipc=host")


@pytest.mark.paddle
def test_real_processes_exchange_over_gloo(cpu_target: Path, cpu_build: Build, healthy: HostFacts) -> None:
    """All values are right, and replicas equal."""
    keyword = "collective.gloo and not scatter or collective.replicas"
    results = judge(cpu_target, healthy, cpu_build, keyword, level="deep")
    passes(results["collective.gloo"])
    assert len(results["collective.gloo"].measurements) == 9
    warns(results["collective.replicas"], "this was the CPU")
    assert [one.name for one in results["collective.replicas"].measurements] == ["replicas_images", "replicas_scaling"]


@pytest.mark.parametrize(("do", "share"), [("all_reduce", 1.75), ("all_gather", 0.875), ("broadcast", 1), ("send", 1)])
def test_bus_bandwidth_is_that_of_nccl_tests(do: str, share: float) -> None:
    assert collective.bandwidth(do, 8 * GIB, 8, 2.0) == 4 * GIB * share


@pytest.mark.parametrize("count", range(2, 9))
def test_rounds_hold_every_pair_once_and_no_rank_twice(count: int) -> None:
    rounds = scripted.functions("collective")["rounds"](count)
    pairs = [tuple(pair) for one in rounds for pair in one]
    assert sorted(pairs) == [(a, b) for a in range(count) for b in range(a + 1, count)]
    assert all(len({rank for pair in one for rank in pair}) == 2 * len(one) for one in rounds)
    assert len(rounds) <= count
