"""Fixtures of every test: a clean environment, and one real CPU target for those that need Paddle itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from paddle_bootstrap.host import pythons

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.9", "3.10", "3.11", "3.12")  # served by every shipped lock
CACHE = ROOT / ".test-cache"  # kept between runs; `make clean` removes it
ALLOWED_SKIPS = ROOT / "tests" / "allowed_skips.txt"
DESCRIBED = tuple(f"tests/checks/test_{name}.py" for name in ("faults", "health", "mutation"))
_skipped: list[tuple[str, str]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code says now")
    parser.addoption(
        "--strict-skips", action="store_true", help="fail when a test is skipped that allowed_skips.txt lacks"
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append((report.nodeid, reason))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--strict-skips") or hasattr(session.config, "workerinput"):
        return  # of several processes, the one that hears of all tests judges
    lines = ALLOWED_SKIPS.read_text().splitlines()
    allowed = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    surprising = [(test, why) for test, why in _skipped if not any(test.startswith(prefix) for prefix in allowed)]
    for test, why in surprising:
        sys.stderr.write(f"\nskipped, but not in {ALLOWED_SKIPS.name}: {test}: {why}")
    if surprising:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class ByFile(LoadFileScheduling):
    """A file at a time to each process; those that judge the described hosts go to one, where each is judged once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "described hosts" if file in DESCRIBED else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests may reach them; what they write stays in tmp_path."""
    for name in list(os.environ):
        if name.startswith(("PADDLE_BOOTSTRAP_", "CUDA_", "FAKE_")) and not name.startswith("PADDLE_BOOTSTRAP_TEST_"):
            monkeypatch.delenv(name)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR", "FORCE_COLOR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))


@pytest.fixture(scope="session")
def test_store() -> Path:
    """A store of real wheels, shared by all tests and kept between runs."""
    return Path(os.environ.get("PADDLE_BOOTSTRAP_TEST_STORE", CACHE / "store"))


@pytest.fixture(scope="session")
def cpu_target(test_store: Path) -> Path:
    """A real target with the CPU build, installed by the tool itself from PyPI. Not to be changed by a test."""
    given = os.environ.get("PADDLE_BOOTSTRAP_TEST_CPU_TARGET")
    if given:
        return Path(given)
    target = CACHE / "cpu-target"
    python = pythons.choose(None, PYTHONS, os.environ).path
    command = ["install", "--device", "cpu", "--env", str(target), "--store", str(test_store), "--python", python]
    with alone("cpu-target"):
        done = subprocess.run(
            [sys.executable, "-m", "paddle_bootstrap", *command],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return target


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """Several test processes run at once; one of them makes what they share, and the others wait for it."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
