"""Known deviations that a site accepts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.acceptance import Acceptance, allowed, from_table
from paddle_bootstrap.results.model import Cause, CheckResult, Outcome, judge

ROW = {"check": "memory.size", "model": "RTX 4090", "reason": "48 GB cards", "expires": date(2027, 1, 1)}
TODAY = date(2026, 12, 1)


def found(outcome: Outcome = "failed", name: str = "memory.size[gpu3]") -> CheckResult:
    return CheckResult(id=name, title="", level="quick", outcome=outcome, summary="48 GB on a 24 GB model")


@pytest.mark.parametrize("outcome", ["failed", "warned"])
@pytest.mark.parametrize("check", ["memory.size", "memory.size[gpu3]"])
def test_a_deviation_is_a_pass_that_stays_visible(outcome: Outcome, check: str) -> None:
    row = from_table({**ROW, "check": check}, "settings")
    result = allowed(found(outcome), [row], "NVIDIA GeForce RTX 4090", TODAY)
    assert result.accepted == {"reason": "48 GB cards", "expires": "2027-01-01"}
    assert (result.outcome, result.summary) == (outcome, "48 GB on a 24 GB model")
    assert judge([result]) == "accepted"


@pytest.mark.parametrize(
    ("row", "model"),
    [
        ({"check": "memory.rows"}, "NVIDIA GeForce RTX 4090"),
        ({"check": "memory.size[gpu2]"}, "NVIDIA GeForce RTX 4090"),
        ({}, "NVIDIA GeForce RTX 4080"),
        ({}, None),
    ],
)
def test_another_check_gpu_or_model_is_not_meant(row: dict[str, Any], model: str | None) -> None:
    assert allowed(found(), [from_table({**ROW, **row}, "settings")], model, TODAY) == found()


def test_the_last_day_counts_and_the_next_does_not() -> None:
    row = from_table(ROW, "settings")
    assert allowed(found(), [row], "NVIDIA GeForce RTX 4090", date(2027, 1, 1)).accepted
    late = allowed(found(), [row], "NVIDIA GeForce RTX 4090", date(2027, 1, 2))
    assert late.accepted is None
    assert late.summary == "48 GB on a 24 GB model; its acceptance (48 GB cards) expired on 2027-01-01"
    assert late.fix == "mend the host, or renew the acceptance in the settings"
    assert judge([late]) == "rejected"


@pytest.mark.parametrize("cause", ["crash", "timeout", "raised", "requirement"])
def test_what_found_nothing_is_not_accepted(cause: Cause) -> None:
    """Whatever else is wrong with the card would pass with it."""
    row = from_table(ROW, "settings")
    hung = allowed(replace(found(), cause=cause), [row], "NVIDIA GeForce RTX 4090", TODAY)
    assert hung.accepted is None
    assert hung.summary.endswith("; its acceptance (48 GB cards) covers what is found, and nothing was")
    assert judge([hung]) == "rejected"


def test_what_passed_needs_no_acceptance() -> None:
    row = Acceptance("memory.size", "why not", date(2027, 1, 1))
    assert allowed(found("passed"), [row], None, TODAY).accepted is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("memory.size", "accept holds tables"),
        ({key: value for key, value in ROW.items() if key != "reason"}, "accept: reason missing"),
        ({key: value for key, value in ROW.items() if key != "expires"}, "accept: expires missing"),
        ({**ROW, "expires": "soon"}, "memory.size: expires: Invalid isoformat string"),
        ({**ROW, "reason": " "}, "reason must be a text"),
        ({**ROW, "chek": "x"}, "unknown key 'chek'"),
    ],
)
def test_a_row_that_is_none(row: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        from_table(row, "settings.toml")
