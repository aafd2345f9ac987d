"""Elementwise operations: really computed on the CPU, right and wrong; and what the check says of a card that errs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import fails, passes, warns
from tests.checks.loads import gives, on_gpus, sabotaged
from tests.checks.target import FakeTarget

TYPES = ("float32", "float16", "bfloat16", "int32", "int64", "bool")
RIGHT: dict[str, Any] = {
    "compared": 90,
    "wrong": [],
    "wrongs": 0,
    "right": [f"{dtype} where" for dtype in TYPES],
    "absent": [],
}
WRONG = {
    "operation": "multiply",
    "dtype": "float16",
    "shapes": "17x33 and 17x33",
    "index": [3, 1],
    "found": "0",
    "expected": "1.25",
    "count": 7,
}
SMALL = {"device": "cpu", "dtypes": ["float32", "int32", "bool"], "many": 1024, "seed": 3}
Judged = Callable[..., Mapping[str, CheckResult]]


@pytest.fixture
def judged(fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts) -> Judged:
    return on_gpus("elementwise", fake_target, healthy, gpu_build, {"arithmetic": [gives(**RIGHT)]})


def test_a_wrong_multiply_is_named_and_the_other_cards_pass(judged: Judged) -> None:
    results = judged("arithmetic", arithmetic=[gives(1, wrong=[WRONG], wrongs=4)])
    fails(
        results["scripted.arithmetic[gpu1]"],
        "multiply of float16 [17x33 and 17x33] is wrong: 0 at [3, 1], not 1.25",
        "4 of 90 results are wrong",
        "Paddle#73937",
        "machine_code",
    )
    passes(results["scripted.arithmetic[gpu0]"])
    passes(results["scripted.arithmetic[gpu2]"])


def test_what_a_build_lacks_is_told(judged: Judged) -> None:
    results = judged(
        "arithmetic",
        arithmetic=[
            gives(0, absent=["bool where"], right=[*RIGHT["right"], "bool any"]),
            gives(
                1, absent=["float16 where", "float16 add"], right=[f"{one} where" for one in TYPES if one != "float16"]
            ),
        ],
    )
    warns(results["scripted.arithmetic[gpu0]"], "no kernel for bool where: not compared")
    fails(results["scripted.arithmetic[gpu1]"], "no elementwise operation for float16", "float16 where; float16 add")
    passes(results["scripted.arithmetic[gpu2]"])


@pytest.mark.paddle
def test_the_real_workload_sees_what_is_wrong(cpu_target: Path) -> None:
    lacks = "raise RuntimeError('The kernel `add` is not registered.')"
    told = sabotaged(
        cpu_target,
        {
            "right": ("", "elementwise.arithmetic", SMALL),
            "product": (
                broken("multiply", "result * (1 + 4e-7 * (left.shape == [1023]))"),
                "elementwise.arithmetic",
                SMALL,
            ),
            "one": (
                broken("add", "result + (result == result.max()).astype(result.dtype)"),
                "elementwise.arithmetic",
                SMALL,
            ),
            "no number": (broken("divide", "result / 0.0"), "elementwise.arithmetic", SMALL),
            "values": (broken("maximum", "result.flatten()[:1]"), "elementwise.arithmetic", SMALL),
            "truth": (broken("logical_and", "paddle.logical_not(result)"), "elementwise.arithmetic", SMALL),
            "absent": (broken("add", "1", lacks), "elementwise.arithmetic", SMALL),
            "kernel": (
                broken("add", "1", lacks.replace("not registered", "on no GPU")),
                "elementwise.arithmetic",
                SMALL,
            ),
        },
    )
    assert told["right"].keys() == RIGHT.keys()
    assert (told["right"]["wrongs"], told["right"]["absent"]) == (0, [])
    assert told["right"]["compared"] > 200
    first = {name: value["wrong"][0] for name, value in told.items() if value.get("wrong")}
    assert {name: (one["operation"], one["dtype"]) for name, one in first.items()} == {
        "product": ("multiply", "float32"),
        "one": ("add", "float32"),
        "no number": ("divide", "float32"),
        "values": ("maximum", "float32"),
        "truth": ("logical_and", "bool"),
    }
    assert (first["product"]["shapes"], first["values"]["found"]) == ("1023 and 1023", "1 values")
    assert [one["count"] for one in told["one"]["wrong"][:2]] == [1, 1]
    assert first["no number"]["found"] == "inf"
    assert told["absent"]["absent"] == ["float32 add", "int32 add"]
    assert told["absent"]["wrongs"] == 0
    assert "is on no GPU" in told["kernel"]["raised"]


def broken(name: str, result: str, first: str = "pass") -> str:
    """Statements after which ``paddle.NAME`` gives ``result``, made from the real ``result``."""
    return (
        f"def replaced(real):\n    def {name}(left, right):\n        {first}\n        result = real(left, right)\n"
        f"        return {result}\n    return {name}\nbroken(paddle, {name!r}, replaced)"
    )
