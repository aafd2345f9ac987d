"""Every fault of ``tests/fakes/faults.tsv``: exactly what is expected is found, in words, on that card and no other."""

from __future__ import annotations

import os

import pytest

from paddle_bootstrap.results.model import CheckResult
from tests.checks.health import Judge, Judgement, Row, batches, faults_of, rows

CONSEQUENCES = (
    "see nvml.answers[",
    "no usable GPU: ",
)  # skips of what could not be judged because of the finding itself


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_fault_is_found(row: Row, judge_host: Judge) -> None:
    batch = batches()[row]
    healthy, faulty = judge_host(row.host), judge_host(row.host, faults_of(batch))
    found = changes(healthy, faulty)
    of_others = {name for other in batch if other is not row for name in found if name.endswith(f"[{other.card}]")}
    assert {name: outcome for name, outcome in found.items() if name not in of_others} == row.findings
    first = faulty.results[next(iter(row.findings))]
    for word in row.words:
        assert word in told(first), told(first)
    if first.outcome == "failed":
        assert first.measured, told(first)
        assert first.expected, told(first)
        assert first.fix, told(first)


def changes(healthy: Judgement, faulty: Judgement) -> dict[str, str]:
    """What is judged otherwise than on the healthy host, without what could not be judged because of it."""
    before = {name: (result.outcome, result.warnings) for name, result in healthy.results.items()}
    return {
        name: result.outcome
        for name, result in faulty.results.items()
        if before.get(name) != (result.outcome, result.warnings) and not is_consequence(result)
    }


def is_consequence(result: CheckResult) -> bool:
    return result.outcome == "skipped" and any(said in result.summary for said in CONSEQUENCES)


def told(result: CheckResult) -> str:
    return " | ".join(filter(None, (result.summary, result.measured, result.expected, result.likely, result.fix)))


def test_our_own_process_is_no_neighbour(judge_host: Judge) -> None:
    busy = judge_host("t4-x1", (("gpu0.processes", f"{os.getpid()} compute 1000000"),))
    assert changes(judge_host("t4-x1"), busy) == {}


def test_each_fault_is_a_row_of_its_own() -> None:
    assert len({(row.host, row.faults) for row in rows()}) == len(rows()) >= 80
