"""What a measurement means: against its floor, against its equals, and where nothing is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.baselines import Baselines, Floor, Share, published
from paddle_bootstrap.harness.floors import Context, Judgement, context_of, judge
from paddle_bootstrap.harness.models import Card
from paddle_bootstrap.host.facts import Unknown

H100 = Card("2330", "NVIDIA H100 80GB HBM3")
H20 = Card("2329", "NVIDIA H20")
H800 = Card("2324", "NVIDIA H800")
V100 = Card("1db1", "Tesla V100-SXM2-16GB")
NEW = Card("ffff", "NVIDIA X1")
FULL: dict[str, Any] = {
    "clocks": {"max_memory": 2619},
    "bus_width": 5120,
    "pcie": {"generation": 1, "width": 16},
    "power": {"enforced_w": 700.0, "default_w": 700.0},
}
LOADED = context_of(FULL, generation=5, width=16)


def judged(
    value: float,
    name: str = "matmul_fp16",
    unit: str = "TFLOP/s",
    card: Card = H100,
    context: Context = LOADED,
    baselines: Baselines | None = None,
    **others: float,
) -> Judgement:
    return judge(name, value, unit, card, context, others, baselines or published())


def test_what_is_enough_passes_and_tells_floor_and_equals() -> None:
    found = judged(765.0, gpu1=771.0, gpu2=769.0)
    assert (found.outcome, found.floor, found.peers, found.slow) == ("passed", 547.5, 770.0, False)
    assert found.source == "0.75 x 730: gpu-fryer README (huggingface/gpu-fryer)"
    assert found.text == "matmul_fp16 765 TFLOP/s"


@pytest.mark.parametrize(
    ("value", "equals", "outcome", "words"),
    [
        (547.6, {}, "passed", ""),
        (547.4, {}, "failed", "below its floor of 547.5"),
        (720.0, {"gpu1": 770.0}, "passed", ""),  # 0.935
        (715.0, {"gpu1": 770.0}, "warned", "7 % slower than its equals"),
        (656.0, {"gpu1": 770.0}, "warned", "15 % slower than its equals"),
        (612.0, {"gpu1": 771.0}, "failed", "21 % slower than its equals"),
        (500.0, {"gpu1": 771.0}, "failed", "below its floor of 547.5; 35 % slower"),
        (500.0, {"gpu1": 501.0}, "failed", "below its floor"),  # all of them are bad
        (900.0, {"gpu1": 600.0}, "passed", ""),
        (770.0, {"gpu1": math.nan, "gpu2": 0.0, "gpu3": math.inf}, "passed", ""),
        (0.0, {}, "failed", "no work was done"),
        (-1.0, {}, "failed", "no work was done"),
        (math.nan, {"gpu1": 770.0}, "failed", "no work was done"),
        (math.inf, {}, "failed", "no work was done"),
    ],
)
def test_both_rules(value: float, equals: dict[str, float], outcome: str, words: str) -> None:
    found = judged(value, **equals)
    assert found.outcome == outcome
    assert words in found.text
    assert found.slow == (outcome != "passed")
    if found.slow:
        assert found.measured
        assert found.expected.startswith("floor 547.5 (0.75 x 730")
        assert found.likely
        assert "nvidia-smi" in found.fix


def test_the_median_of_the_others_counts_not_their_mean() -> None:
    assert judged(770.0, gpu1=771.0, gpu2=772.0, gpu3=2000.0).outcome == "passed"
    assert judged(600.0, gpu1=771.0, gpu2=1.0, gpu3=772.0).outcome == "failed"


def test_no_baseline_is_never_a_silent_pass() -> None:
    found = judged(5.0, "images", "images/s")
    assert (found.outcome, found.floor, found.slow) == ("warned", None, False)
    assert found.text == "images 5 images/s: no baseline for images on NVIDIA H100 80GB HBM3: recorded"
    assert judged(500.0, card=NEW).text.endswith("no baseline for matmul_fp16 on NVIDIA X1: recorded")
    assert judged(5.0, "images", "images/s", gpu1=9.0).outcome == "failed"


def test_cards_that_emulate_bf16_have_no_floor_for_it() -> None:
    for card in (V100, Card("1eb8", "Tesla T4")):
        assert judged(2.0, "matmul_bf16", card=card).floor is None
        assert judged(2.0, "matmul_bf16", card=card).outcome == "warned"
    assert judged(70.0, card=V100).outcome == "failed"


def test_a_borrowed_value_warns_only() -> None:
    found = judged(300.0, card=H800)
    assert (found.outcome, found.floor) == ("warned", 547.5)
    assert "below its floor of 547.5 (0.75 x 730: no value of its own" in found.text


def test_a_lowered_power_limit_takes_absolute_floors_away_but_not_the_equals() -> None:
    weak = replace(LOADED, enforced_w=350.0)
    found = judged(400.0, context=weak)
    assert (found.outcome, found.floor) == ("warned", 547.5)
    assert found.text.endswith("its power limit is 350 W of 700 W: no floor applies")
    assert judged(400.0, context=weak, gpu1=771.0).outcome == "failed"
    assert judged(20.0, "copy_to_device", "GB/s", context=weak).outcome == "failed"
    assert judged(400.0, context=replace(LOADED, enforced_w=699.0)).outcome == "failed"
    assert judged(400.0, context=replace(LOADED, enforced_w=750.0)).outcome == "failed"
    assert judged(400.0, context=replace(LOADED, default_w=None)).outcome == "failed"


@pytest.mark.parametrize(
    ("card", "value", "outcome", "floor"),
    [
        (H100, 3000.0, "passed", 1905.0),
        (H100, 2600.0, "warned", 1905.0),  # below 0.80 of 3352
        (H100, 1900.0, "failed", 1905.0),
        (H20, 1600.0, "passed", 1507.0),  # 0.48 of the peak: all that its few SMs can do
        (NEW, 2000.0, "passed", 1843.776),
        (NEW, 1800.0, "warned", 1843.776),
        (Card(None, None), 1800.0, "warned", 1843.776),
    ],
)
def test_copies_within_the_card(card: Card, value: float, outcome: str, floor: float) -> None:
    found = judged(value, "copy_device", "GB/s", card=card)
    assert (found.outcome, found.floor) == (outcome, pytest.approx(floor, rel=1e-6))


def test_copies_from_the_host_are_held_against_the_link_as_negotiated() -> None:
    assert judged(41.0, "copy_to_device", "GB/s").outcome == "passed"
    assert judged(40.0, "copy_from_device", "GB/s").outcome == "failed"
    third = context_of({**FULL, "pcie": {"generation": 3, "width": 8}})
    assert third.peaks["pcie"] == 7.875
    assert judged(5.2, "copy_to_device", "GB/s", context=third).outcome == "passed"
    assert judged(5.0, "copy_to_device", "GB/s", context=third).outcome == "failed"


def test_what_could_not_be_read_takes_its_floor_away() -> None:
    for lost in (
        {"clocks": Unknown("x")},
        {"clocks": {"max_memory": None}},
        {"bus_width": Unknown("x")},
        {"bus_width": 0},
    ):
        assert "memory" not in context_of({**FULL, **lost}).peaks
    for lost in (
        {"pcie": Unknown("x")},
        {"pcie": {"generation": 9, "width": 16}},
        {"pcie": {"generation": 4, "width": None}},
    ):
        assert "pcie" not in context_of({**FULL, **lost}).peaks
    assert context_of({}) == Context()
    assert judged(5.0, "copy_device", "GB/s", card=NEW, context=Context()).text.endswith(": recorded")
    assert judged(1000.0, "copy_device", "GB/s", context=Context()).outcome == "failed"


def test_times_are_better_when_they_are_small() -> None:
    known = replace(published(), site={("2330", "launch"): Floor(10.0, "us", "site.toml")})
    told = {value: judged(value, "launch", "us", baselines=known).outcome for value in (3.0, 10.0, 10.1)}
    assert told == {3.0: "passed", 10.0: "passed", 10.1: "failed"}
    assert "above its limit of 10" in judged(11.0, "launch", "us", baselines=known).text
    assert judged(5.0, "launch", "us", gpu1=4.0, baselines=known).outcome == "failed"
    assert judged(4.5, "launch", "us", gpu1=4.1, baselines=known).outcome == "warned"
    assert judged(4.0, "launch", "us", gpu1=9.0, baselines=known).outcome == "passed"
    assert "25 % slower than its equals" in judged(5.0, "launch", "us", gpu1=4.0, baselines=known).text


def test_a_site_comes_before_what_is_published_and_before_shares() -> None:
    mine = {("2330", "matmul_fp16"): Floor(700.0, "TFLOP/s", "ours"), ("X1", "copy_device"): Floor(9.0, "GB/s", "ours")}
    known = replace(published(), site=mine)
    assert judged(690.0, baselines=known).outcome == "failed"
    assert judged(690.0, card=Card("2331", "NVIDIA H100 PCIe"), baselines=known).outcome == "passed"
    assert judged(1800.0, "copy_device", "GB/s", card=NEW, baselines=known).outcome == "passed"
    assert judged(1000.0, "copy_device", "GB/s", baselines=known).outcome == "failed"


def test_another_unit_than_the_floor_has_is_an_error_that_names_both(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="matmul_fp16 on NVIDIA H100 80GB HBM3 was measured in 'GFLOP/s', but"
    ) as caught:
        judged(765000.0, unit="GFLOP/s")
    assert "its floor is in 'TFLOP/s' (0.75 x 730: gpu-fryer" in str(caught.value)
    assert caught.value.hint == "write the floor of matmul_fp16 in GFLOP/s"


def test_the_floor_that_fails_is_the_one_shown() -> None:
    shares = (Share("x", "memory", "GB/s", "a", warns=0.9), Share("x", "memory", "GB/s", "b", fails=0.5))
    known = replace(published(), shares=shares)
    assert judged(3100.0, "x", "GB/s", baselines=known).floor == pytest.approx(0.5 * 3352.32)
