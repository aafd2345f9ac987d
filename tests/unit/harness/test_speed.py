"""The fixtures ``measure`` and ``speed``: floors, equal cards, and the slow one that is measured again alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.results.model import CheckResult
from tests.fakes.host import DESCRIBED, FakeHost
from tests.unit.harness.folders import Folder, Run

EIGHT = FakeHost.from_file(DESCRIBED / "h100-x8.toml")
FOUR = replace(EIGHT, gpus=EIGHT.gpus[:4])
MEASURED = """
    def check_it(device, measure):
        measure("matmul_fp16", {0: 765.0, 1: 500.0, 2: 765.0, 3: 765.0}[device.index], "TFLOP/s", {others})
"""
SPEED = """
    @pytest.mark.level("standard")
    def check_it(device, cuda, speed):
        got = speed("matmul_fp16", "TFLOP/s", lambda **how: cuda("rate.of", device=device.index, **how), pick="tflops")
        assert set(got) == {"tflops", "alone"}
"""
RATE = """
import os, time
def of(device):
    mine = os.path.join(PLACE, str(device))
    with open(mine, "a") as file:
        file.write("x")
    turn = os.path.getsize(mine)
    return {"tflops": RATES[device][min(turn, len(RATES[device])) - 1], "alone": turn > 1}
"""
OnHost = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def on(site: Folder, run: Run, tmp_path: Path) -> OnHost:
    def judged(host: FakeHost, check: str, **more: object) -> dict[str, CheckResult]:
        site.checks(check)
        (tmp_path / "host").mkdir()
        environ = {**os.environ, **host.write(tmp_path / "host")}
        known = collect(root=Path(environ["PADDLE_BOOTSTRAP_ROOTFS"]), environ=environ)
        told = run(host=known, environ=environ, subject=Subject(None, None, "gpu", None), **more)
        return {name.removeprefix("site.it"): result for name, result in told.items()}

    return judged


@pytest.fixture
def rates(site: Folder, tmp_path: Path) -> Callable[..., None]:
    """What each GPU gives, the first time and after that."""

    def scripted(*told: tuple[float, ...]) -> None:
        (tmp_path / "turns").mkdir()
        text = RATE.replace("PLACE", repr(str(tmp_path / "turns"))).replace("RATES", repr(told))
        site.workload("rate", text)

    return scripted


def test_below_its_floor_a_card_fails_with_what_to_do(on: OnHost) -> None:
    results = on(FOUR, MEASURED.replace("{others}", "None"))
    assert [result.outcome for result in results.values()] == ["passed", "failed", "passed", "passed"]
    slow = results["[gpu1]"]
    assert slow.summary == "matmul_fp16 500 TFLOP/s: below its floor of 547.5"
    assert str(slow.measured).startswith("500 TFLOP/s; gpu1 (0000:11:00.0, GPU-")
    assert (slow.expected or "").startswith("floor 547.5 (0.75 x 730")
    assert slow.likely
    assert slow.fix
    (measured,) = slow.measurements
    assert (measured.name, measured.value, measured.unit, measured.floor) == ("matmul_fp16", 500.0, "TFLOP/s", 547.5)


def test_without_a_floor_it_is_recorded_and_warned(on: OnHost) -> None:
    check = 'def check_it(device, measure):\n    measure("blinks", 3.0, "1/s")\n    measure("nods", 1.0, "1/s", judged=False)\n'
    result = on(replace(EIGHT, gpus=EIGHT.gpus[:1]), check)["[gpu0]"]
    assert (result.outcome, result.warnings) == (
        "warned",
        ("blinks 3 1/s: no baseline for blinks on NVIDIA H100 80GB HBM3: recorded",),
    )
    assert [measured.name for measured in result.measurements] == ["blinks", "nods"]


def test_a_slice_of_a_card_has_neither_floor_nor_equal(on: OnHost, rates: Callable[..., None]) -> None:
    """One seventh of a card is as slow as it should be."""
    rates((90.0,), (765.0,))
    sliced = EIGHT.with_fault("gpu0.mig.current", "true").with_fault("gpu0.mig.pending", "true")
    results = on(replace(sliced, gpus=sliced.gpus[:2]), SPEED, level="standard")
    assert [result.outcome for result in results.values()] == ["passed", "passed"]
    (measured,) = results["[gpu0]"].measurements
    assert (measured.name, measured.value, measured.floor, measured.peers) == ("matmul_fp16", 90.0, None, None)


def test_a_lowered_power_limit_takes_the_floor_away(on: OnHost) -> None:
    results = on(FOUR.with_fault("gpu1.power.enforced_w", "400"), MEASURED.replace("{others}", "None"))
    assert results["[gpu1]"].outcome == "warned"
    assert "its power limit is 400 W of 700 W: no floor applies" in results["[gpu1]"].summary


@pytest.mark.parametrize(
    ("slow", "outcome", "turns"),
    [
        ((760.0,), "passed", 1),
        ((700.0, 760.0), "passed", 2),  # a neighbour was in its way
        ((700.0, 700.0), "warned", 2),
        ((600.0, 600.0), "failed", 2),
        ((600.0, 760.0), "passed", 2),
        ((500.0, 500.0), "failed", 2),  # the floor too
    ],
)
def test_a_slow_card_is_measured_again_alone(
    on: OnHost, rates: Callable[..., None], tmp_path: Path, slow: tuple[float, ...], outcome: str, turns: int
) -> None:
    rates((765.0,), slow, (771.0,), (769.0,))
    results = on(FOUR, SPEED, level="standard")
    assert {label: result.outcome for label, result in results.items()} == {
        "[gpu0]": "passed",
        "[gpu1]": outcome,
        "[gpu2]": "passed",
        "[gpu3]": "passed",
    }, [result.summary for result in results.values()]
    assert [(tmp_path / "turns" / str(index)).stat().st_size for index in range(4)] == [1, turns, 1, 1]
    names = [measured.name for measured in results["[gpu1]"].measurements]
    assert names == (["matmul_fp16_together", "matmul_fp16"] if turns == 2 else ["matmul_fp16"])
    assert results["[gpu1]"].measurements[-1].peers == 769.0
    if outcome == "failed":
        assert "slower than its equals" in results["[gpu1]"].summary


def test_a_card_of_another_model_is_no_equal(on: OnHost, rates: Callable[..., None], tmp_path: Path) -> None:
    rates((765.0,), (600.0,), (771.0,), (769.0,))
    results = on(FOUR.with_fault("gpu1.name", "NVIDIA H100 80GB HBM3 X"), SPEED, level="standard")
    assert results["[gpu1]"].measurements[-1].peers is None
    assert results["[gpu0]"].measurements[-1].peers == 770.0


def test_a_sites_own_floor_holds_instead(on: OnHost, tmp_path: Path) -> None:
    floors = tmp_path / "floors.toml"
    floors.write_text(
        'schema_version = 1\n[[floor]]\nmodel = "NVIDIA H100 80GB HBM3"\npci_id = "2330"\nname = "matmul_fp16"\n'
        'unit = "TFLOP/s"\nfloor = 766.0\n'
    )
    results = on(FOUR, MEASURED.replace("{others}", "None"), baseline=floors)
    assert {result.outcome for result in results.values()} == {"failed"}
