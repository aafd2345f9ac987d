"""Images per second: really measured on the CPU, with every other load of Paddle's; and cards of which one is slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import fails, judge, passes, warns
from tests.checks.loads import gives, on_gpus
from tests.checks.target import FakeTarget

HEALTHY = {"images": [gives(images_per_second=900.0, steps=9, loss=0.5)]}
LOADS = "gemm or elementwise or training or speed"
Judged = Callable[..., Mapping[str, CheckResult]]


@pytest.fixture
def judged(fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts) -> Judged:
    return on_gpus("speed", fake_target, healthy, gpu_build, HEALTHY)


def test_images_are_measured(judged: Judged) -> None:
    results = judged("gpu")
    assert len(results) == 2 * 3
    for name, measured in (("cnn", "cnn_images"), ("resnet", "resnet50_images")):
        result = results[f"scripted.{name}[gpu0]"]
        warns(result, f"no baseline for {measured}")
        measurement = result.measurements[0]
        assert (measurement.name, measurement.value, measurement.unit) == (measured, 900.0, "images/s")


def test_a_slow_card_fails_and_one_that_is_slower_warns(judged: Judged) -> None:
    results = judged("resnet", gpus=4, images=[gives(1, images_per_second=500.0), gives(2, images_per_second=800.0)])
    fails(results["scripted.resnet[gpu1]"], "resnet50_images 500 images/s: 44 % slower than its equals", "900")
    warns(results["scripted.resnet[gpu2]"], "11 % slower")
    assert "slower" not in results["scripted.resnet[gpu0]"].summary


def test_speed_counts_for_nothing_where_the_loss_is_no_number(judged: Judged) -> None:
    result = judged("cnn", gpus=1, images=[gives(loss=None)])["scripted.cnn[gpu0]"]
    fails(result, "the loss is not finite", "training.amp")


@pytest.mark.paddle
def test_every_load_runs_on_the_cpu(cpu_target: Path, cpu_build: Build, healthy: HostFacts) -> None:
    """A rehearsal really computes; what only a GPU has is left out, with that reason."""
    results = judge(cpu_target, healthy, cpu_build, LOADS, level="standard")
    skipped = {name: result for name, result in results.items() if result.outcome == "skipped"}
    assert set(skipped) == {"gemm.tf32[cpu]", "gemm.fp16[cpu]", "gemm.bf16[cpu]", "training.amp[cpu]"}
    assert all(result.summary == "rehearsal on the CPU" and not result.required for result in skipped.values())
    for name, result in results.items():
        if name not in skipped:
            passes(result)
    measured = {one.name: one.value for result in results.values() for one in result.measurements}
    assert set(measured) == {"matmul_fp32", "cnn_images", "resnet50_images"}
    assert min(measured.values()) > 0
