"""Ids are a promise: dashboards and site settings hold them. Renaming one is a breaking change."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.harness.listing import list_checks
from paddle_bootstrap.harness.markers import LEVELS
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.listed import Listed
from paddle_bootstrap.results.model import Level
from tests.checks.judging import judge, preflight
from tests.checks.target import FakeTarget
from tests.checks.workload import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "check_ids.txt"
TARGET_SIDE = [*sorted(WORKLOADS.glob("*.py")), ROOT / "paddle_bootstrap" / "harness" / "worker.py"]
TITLE = 48  # characters: more do not fit beside the id on a line of the report


def promised(level: Level, device: str) -> set[str]:
    """The ids of ``level`` and below; a line is an id and its level, DEVICE stands for gpu0 and the like."""
    rows = [line.split() for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return {name.replace("DEVICE", device) for name, own in rows if LEVELS.index(own) <= LEVELS.index(level)}


@pytest.fixture(scope="module")
def listed() -> tuple[Listed, ...]:
    return list_checks((built_in_checks(),), None)


def test_the_ids_and_levels(listed: tuple[Listed, ...]) -> None:
    """Those that are listed, and so those that run."""
    found = {(f"{check.id}{'[DEVICE]' if 'each GPU' in check.needs else ''}", check.level) for check in listed}
    assert found == {tuple(line.split()) for line in GOLDEN.read_text().splitlines() if not line.startswith("#")}


def test_the_ids_of_one_gpu(fake_target: FakeTarget, healthy: HostFacts, gpu_build: Build) -> None:
    assert isinstance(healthy.gpus, tuple)
    one_gpu = replace(healthy, gpus=healthy.gpus[:1])
    assert set(judge(fake_target, one_gpu, gpu_build)) == promised("quick", "gpu0")


def test_the_ids_of_a_rehearsal(fake_target: FakeTarget, healthy: HostFacts, cpu_build: Build) -> None:
    assert set(judge(fake_target, healthy, cpu_build)) == promised("quick", "cpu")


def test_the_ids_of_a_host_without_a_gpu(fake_target: FakeTarget, healthy: HostFacts, gpu_build: Build) -> None:
    """The device's checks are there and fail: they are not left out for want of a device."""
    results = judge(fake_target, replace(healthy, gpus=()), gpu_build)
    assert set(results) == promised("quick", "gpu")
    assert {results[name].outcome for name in results if name.startswith("device.")} == {"failed"}


def test_the_ids_of_the_preflight(healthy: HostFacts, gpu_build: Build, listed: tuple[Listed, ...]) -> None:
    """Those that need no target."""
    host = {check.id for check in listed if check.level == "quick" and "target" not in check.needs}
    assert {name.partition("[")[0] for name in preflight(healthy, gpu_build)} == host


def test_the_list_is_sorted() -> None:
    lines = [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(lines)


def test_titles_fit_a_line_of_the_report(listed: tuple[Listed, ...]) -> None:
    assert {check.id: check.title for check in listed if not titled(check)} == {}


def titled(check: Listed) -> bool:
    return 0 < len(check.title) <= TITLE and check.title != f"check_{check.id.partition('.')[2]}"


@pytest.mark.parametrize("path", TARGET_SIDE, ids=lambda path: path.name)
def test_what_runs_in_the_target_has_the_syntax_of_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
