"""What changes on a GPU while it works, seen by a process that nobody waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host import sampling
from paddle_bootstrap.host.sampling import Sample
from tests.fakes.host import DESCRIBED, NO_GPU, FakeHost

ROOT = Path(__file__).resolve().parents[3]
H100 = FakeHost.from_file(DESCRIBED / "h100-x8.toml")
ONE = replace(H100, gpus=H100.gpus[:1])
Sampled = Callable[..., tuple[Sample, ...]]


@pytest.fixture
def sampled(tmp_path: Path) -> Sampled:
    def samples(host: FakeHost, seconds: float = 1.5) -> tuple[Sample, ...]:
        sampler = sampling.start({**os.environ, **host.write(tmp_path / "host")}, 0, interval=0.1)
        time.sleep(seconds)
        began = time.monotonic()
        told = sampler.stop()
        assert time.monotonic() - began < 4
        return told

    return samples


def test_samples(sampled: Sampled) -> None:
    host = ONE.with_fault("gpu0.clocks.sm", "345|1980").with_fault("gpu0.throttle_reasons", "1|4|0x48")
    first, second, third, *_ = sampled(host.with_fault("gpu0.pcie.generation", "1|5"))
    assert replace(first, seconds=0) == Sample(0, 345, 29, 69.4, 1, 1, 16)
    assert (second.sm_clock_mhz, second.throttle_reasons, second.pcie_generation) == (1980, 4, 5)
    assert third.throttle_reasons == 0x48
    assert 0.05 < third.seconds - second.seconds < 1


def test_what_is_not_supported_is_no_problem(sampled: Sampled) -> None:
    told = sampled(FakeHost.from_file(DESCRIBED / "vgpu-a40.toml"))
    assert replace(told[-1], seconds=0) == Sample(0)


def test_a_card_that_is_lost_under_load(sampled: Sampled) -> None:
    told = sampled(ONE.with_fault("gpu0.temperature", "60|!15"))
    assert (told[0].temperature_c, told[0].problem) == (60, None)
    assert told[1].temperature_c is None
    assert told[1].sm_clock_mhz == 345
    assert told[1].problem == "temperature_c: nvmlDeviceGetTemperatureV: NVML code 15: GPU is lost"


@pytest.mark.parametrize("value", ["60|~60", "60|@8"])
def test_a_card_that_hangs_gives_what_was_seen_before(sampled: Sampled, value: str) -> None:
    assert [sample.temperature_c for sample in sampled(ONE.with_fault("gpu0.temperature", value))] == [60]


@pytest.mark.parametrize("host", [NO_GPU, FakeHost(system={"init": "~60"}), ONE.with_fault("gpu0.handle", "!15")])
def test_nothing_to_sample(sampled: Sampled, host: FakeHost) -> None:
    assert sampled(host, 0.3) == ()


ABANDONED = """
import os, sys
from paddle_bootstrap.host import sampling
print(sampling.start(os.environ, 0, interval=0.1).child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_does_not_outlive_the_run(tmp_path: Path) -> None:
    environ = {**os.environ, **ONE.write(tmp_path / "host")}
    done = subprocess.run(
        [sys.executable, "-c", ABANDONED], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    ends = time.monotonic() + 5
    while Path(f"/proc/{done.stdout.strip()}/cmdline").exists() and time.monotonic() < ends:
        if not Path(f"/proc/{done.stdout.strip()}/cmdline").read_bytes():
            break  # a zombie that the machine's first process has not reaped
        time.sleep(0.05)
    assert time.monotonic() < ends
