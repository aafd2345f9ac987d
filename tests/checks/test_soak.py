"""Full power: really, for seconds, on the CPU; and cards that grow slow, brake or get lost as a test says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from tests.checks import scripted
from tests.checks.health import DESCRIBED
from tests.checks.judging import Judged, fails, judge, passes, seen, warns
from tests.checks.target import FakeTarget
from tests.fakes.host import FakeHost

Judge = Callable[..., Judged]
FINE = [100.0] * 210
QUIET = {"throttle_reasons": "4"}  # the power cap: what full power looks like


def power(rates: list[float] | None = None, **more: Any) -> dict[str, Any]:
    return {"rates": rates or FINE, "held": 0.951, "spoiled": [], "lost": None, **more}


def swing(rates: list[float], **more: Any) -> dict[str, Any]:
    return {"rates": rates, "late": [0.001] * len(rates), "lost": None, **more}


@pytest.fixture
def soaked(tmp_path: Path, fake_target: FakeTarget, gpu_build: Build) -> Judge:
    """The check's results on four 4090, each telling what is in ``told``; ``faults``: of all, or of one as ``gpu2.KEY``."""

    def soaked(name: str, *told: dict[str, Any], seconds: float = 0.0, **faults: str) -> Judged:
        folder = scripted.copy("soak", tmp_path / "site", {})
        shutil.copy(Path(__file__).with_name("scripted_soak.py"), folder / "workloads" / "soak.py")
        facts, environ = seen(
            host({**{f"gpu.{key}": value for key, value in QUIET.items()}, **faults}), tmp_path / "host"
        )
        script = {"gpus": list(told), "seconds": seconds}
        options = {"level": "deep", "checks": [folder], "environ": {**environ, "FAKE_SOAK": json.dumps(script)}}
        return judge(fake_target, facts, gpu_build, f"scripted.{name}", **options)

    return soaked


def host(faults: Mapping[str, str]) -> FakeHost:
    fake = FakeHost.from_file(DESCRIBED / "4090-x4.toml")
    for key, value in faults.items():
        fake = fake.with_fault(key, value)
    return fake


def test_speed_that_lasts_passes_and_leaves_samples(soaked: Judge) -> None:
    results = soaked("power", *[power()] * 4, seconds=2.0)
    for index in range(4):
        result = results[f"scripted.power[gpu{index}]"]
        passes(result)
        assert result.measurements[0].value == 100.0
        assert result.evidence["rates"].startswith("100 100")
        first, *rows = result.evidence["samples"].splitlines()
        assert first == "seconds,MHz,C,W,reasons"
        assert rows
        assert all(row.endswith(",4") for row in rows)


def test_what_goes_wrong_at_full_power_is_found_on_its_card(soaked: Judge) -> None:
    """One card loses speed, one is lost, one forgets; the fourth has nothing to do with it."""
    cooked = [100.0] * 150 + [88.0] * 60
    lost = power([100.0] * 132, lost={"after": 132.4, "error": "CUDA error(999), unknown error"})
    results = soaked("power", power(cooked), lost, power(spoiled=[17, 40]), power(), seconds=2.0)
    fails(
        results["scripted.power[gpu0]"], "gpu0 lost 12% of its speed", "88.0 TFLOP/s in the last minute, 100.0", "fan"
    )
    fails(results["scripted.power[gpu1]"], "gpu1 was lost after 132 s of full power", "CUDA error(999)", "dmesg")
    fails(results["scripted.power[gpu2]"], "memory of gpu2 did not keep", "2 blocks", "number 17", "words.patterns")
    passes(results["scripted.power[gpu3]"])


def test_a_card_is_held_against_its_equals(soaked: Judge) -> None:
    results = soaked("power", power([84.0] * 210), power([92.0] * 210), power(), power(), seconds=2.0)
    fails(results["scripted.power[gpu0]"], "gpu0 keeps 84.0 TFLOP/s, 84% of its peers' 100.0", "at least 0.85")
    warns(results["scripted.power[gpu1]"], "gpu1 keeps 92.0 TFLOP/s, 92% of its peers' 100.0")
    passes(results["scripted.power[gpu2]"])


def test_what_the_hardware_slows_down_is_no_accident(soaked: Judge) -> None:
    reasons = {"gpu0.throttle_reasons": "0x84", "gpu1.throttle_reasons": "0x48", "gpu2.throttle_reasons": "0x20"}
    few = power(held=0.7)
    results = soaked("power", power(), power(), power(), few, seconds=2.0, **reasons)
    fails(results["scripted.power[gpu0]"], "slowed gpu0 down: power brake 100%", "0x80 in 100%", "power cables")
    fails(results["scripted.power[gpu1]"], "hardware slowdown", "hardware thermal slowdown", "heat", "fans")
    warns(results["scripted.power[gpu2]"], "gpu2: software thermal slowdown 100% of the time")
    warns(results["scripted.power[gpu3]"], "only 70% of the memory could be held")


def test_a_load_that_ended_early_or_was_not_watched_is_no_pass(soaked: Judge) -> None:
    blind = {"gpu1.throttle_reasons": "!4"}
    results = soaked("power", power([100.0] * 90), power(), power(), power(), seconds=2.0, **blind)
    fails(results["scripted.power[gpu0]"], "the load did not last", "90 whole seconds")
    warns(results["scripted.power[gpu1]"], "why gpu1 lowered its clock was not seen")


def test_power_that_swings(soaked: Judge) -> None:
    """Lost at the 14th swing; too many slow ones; few of them; late because of the host."""
    gone = swing([100.0] * 13, lost={"swing": 14, "error": "CUDA error(719)"})
    tired = swing([100.0] * 38 + [70.0] * 7)
    once = swing([100.0] * 44 + [70.0])
    late = swing([100.0] * 44 + [10.0], late=[0.001] * 44 + [0.9])
    results = soaked("swing", gone, tired, once, late, seconds=2.0)
    fails(results["scripted.swing[gpu0]"], "gpu0 was lost at swing 14", "CUDA error(719)", "power supply")
    fails(results["scripted.swing[gpu1]"], "7 of 45 swings were below 0.85 of the median on gpu1", "the slowest 70.0")
    warns(results["scripted.swing[gpu2]"], "1 of 45 swings", "70.0 of 100.0 TFLOP/s")
    warns(results["scripted.swing[gpu3]"], "gpu3 came late to 1 of 45 swings")


def test_a_brake_during_swings(soaked: Judge) -> None:
    told = [swing([100.0] * 45)] * 4
    results = soaked("swing", *told, seconds=2.0, **{"gpu2.throttle_reasons": "0x80"})
    fails(results["scripted.swing[gpu2]"], "slowed gpu2 down: power brake")
    passes(results["scripted.swing[gpu0]"])


@pytest.mark.paddle
def test_the_load_really_runs_on_the_cpu(cpu_target: Path, cpu_build: Build, healthy: HostFacts) -> None:
    results = judge(cpu_target, healthy, cpu_build, "soak.power or soak.swing", level="deep")
    for name, unit in (("soak.power[cpu]", "soak"), ("soak.swing[cpu]", "swing")):
        warns(results[name], "this was the CPU")
        assert results[name].measurements[0].name == unit
        assert results[name].measurements[0].value > 0
