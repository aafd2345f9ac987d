"""What the levels promise: the seconds that checks say they need are added up, for one GPU and for eight."""

from __future__ import annotations

import pytest

from paddle_bootstrap.harness.listing import list_checks
from paddle_bootstrap.harness.markers import LEVELS
from paddle_bootstrap.harness.rounds import SETTLE_SECONDS, SETTLE_SHARE
from paddle_bootstrap.harness.subject import STARTUP_SECONDS, built_in_checks
from paddle_bootstrap.results.listed import Listed

PROMISED = {"quick": 10, "standard": 120, "deep": 900}  # seconds on a healthy host, the lower levels included


@pytest.fixture(scope="module")
def listed() -> tuple[Listed, ...]:
    return list_checks((built_in_checks(),), None)


@pytest.mark.parametrize("gpus", [1, 8])
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_keeps_its_promise(level: str, gpus: int, listed: tuple[Listed, ...]) -> None:
    among = LEVELS[: LEVELS.index(level) + 1]  # type: ignore[call-overload]
    needed = {check.id: needs(check, gpus) for check in listed if check.level in among}
    assert STARTUP_SECONDS + sum(needed.values()) <= PROMISED[level], needed


def needs(check: Listed, gpus: int) -> float:
    """With the rest that GPUs get after a load."""
    seconds = check.seconds + check.per_gpu * gpus
    loads = check.level != "quick" and "each GPU" in check.needs
    return seconds + (min(seconds * SETTLE_SHARE, SETTLE_SECONDS) if loads else 0)


def test_every_load_says_what_it_needs(listed: tuple[Listed, ...]) -> None:
    """Nobody's default: a load's time is known by whoever wrote it."""
    assert all(check.seconds > 0 for check in listed)
