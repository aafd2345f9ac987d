"""The verdict, computed in one place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddle_bootstrap.results.model import EXIT_CODES, judge
from tests.unit.results.runs import RUNS, check

PASSED, WARNED, FAILED = (check("a.b", outcome=outcome) for outcome in ("passed", "warned", "failed"))
ERROR, SKIPPED = (check("a.b", outcome=outcome) for outcome in ("error", "skipped"))
ALLOWED = {"reason": "known", "expires": "2027-01-01"}
EXCUSED = check("a.b", outcome="skipped", required=False)


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ((PASSED,), "accepted"),
        ((WARNED,), "accepted"),
        ((PASSED, EXCUSED), "accepted"),
        ((PASSED, FAILED), "rejected"),
        ((ERROR, SKIPPED, FAILED), "rejected"),
        ((PASSED, ERROR), "inconclusive"),
        ((PASSED, SKIPPED), "inconclusive"),
        ((EXCUSED, EXCUSED), "inconclusive"),
        ((), "inconclusive"),
        ((replace(FAILED, accepted=ALLOWED),), "accepted"),
        ((replace(FAILED, accepted=ALLOWED), FAILED), "rejected"),
        ((PASSED, replace(SKIPPED, accepted=ALLOWED)), "inconclusive"),
        ((PASSED, replace(ERROR, accepted=ALLOWED)), "inconclusive"),
    ],
)
def test_the_verdict_follows_from_the_checks(checks, verdict) -> None:  # type: ignore[no-untyped-def]
    assert judge(checks) == verdict


def test_each_verdict_has_its_exit_code() -> None:
    assert EXIT_CODES == {"accepted": 0, "rejected": 1, "inconclusive": 3}
    found = {name: (run.verdict, run.exit_code) for name, run in RUNS.items()}
    assert found == {
        "rehearsal": ("accepted", 0),
        "warned": ("accepted", 0),
        "rejected": ("rejected", 1),
        "inconclusive": ("inconclusive", 3),
        "preflight": ("rejected", 1),
        "foreign": ("accepted", 0),
        "nothing": ("inconclusive", 3),
        "awkward": ("rejected", 1),
        "slow": ("rejected", 1),
        "allowed": ("accepted", 0),
    }
