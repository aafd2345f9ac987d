"""Our hooks: which checks run, and what their outcome means. Exit code and reports come from the results made here, never
from pytest's own."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness.channel import WorkloadFailed
from paddle_bootstrap.harness.clock import CheckHung, Clock
from paddle_bootstrap.harness.devices import CPU, NoDevice, devices, why_none
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.fixtures import Notes, RequirementMissing, clock_of, notes_of
from paddle_bootstrap.harness.session import TEXT, Session
from paddle_bootstrap.results.model import Cause, CheckResult, Level, Outcome

GROUPS = ("host", "install", "architecture", "device", "libraries")
LEVELS: tuple[Level, ...] = ("quick", "standard", "deep")
CHECK_SECONDS = {"quick": 120.0, "standard": 600.0, "deep": 1800.0}  # of a check's own, unless marked otherwise
REQUIREMENTS = ("gpu",)
MARKERS = (
    "level(name): quick, standard or deep",
    "timeout(seconds): of the whole check, workloads included",
    "requires(what): 'gpu': not run on a rehearsal",
)


class BadMarker(Exception):
    """A check is marked with something nobody knows."""


def short(name: str) -> str:
    return name.removeprefix("check_")


class Plugin:
    """One session's collection and outcomes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.results: list[CheckResult] = []
        self._began = 0.0
        self._calls: dict[str, pytest.CallInfo[None]] = {}
        self._captured: dict[str, str] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        for line in MARKERS:
            config.addinivalue_line("markers", line)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "device" not in metafunc.fixturenames:
            return
        found: list[Any] = [CPU]
        if self.session.subject.device == "gpu":
            facts = self.session.facts()
            found = list(devices(facts)) or [NoDevice(why_none(facts))]
        metafunc.parametrize("device", found, ids=[item.label for item in found], indirect=True)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        item.extra_keyword_matches.add(check_id(item))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if self._wanted(item)), key=position)

    def _wanted(self, item: pytest.Item) -> bool:
        if LEVELS.index(level_of(item)) > LEVELS.index(self.session.level):
            return False
        names = getattr(item, "fixturenames", ())
        return not self.session.preflight or not {"run", "device"} & set(names)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if report.failed:
            self._add(_unreadable(collector.path, str(report.longrepr)))
        return report

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            raise RuntimeError(f"a check called pytest.exit: {excinfo.value}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        item.stash[clock_of] = Clock(120.0)
        require_known_markers(item)
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0]) if marker else CHECK_SECONDS[level_of(item)]
        item.stash[clock_of] = Clock(seconds, whole=marker is not None)
        if item.get_closest_marker("requires") and self.session.subject.device == "cpu":
            pytest.skip("rehearsal on the CPU")
        with item.stash[clock_of].running():
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with item.stash[clock_of].running():
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        with item.stash[clock_of].running():
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "setup":
            self._calls, self._began = {}, call.start
        self._calls[call.when] = call
        written = {name.removeprefix("Captured ").split()[0]: text for name, text in report.sections if text.strip()}
        self._captured = {name: text[-TEXT:] for name, text in written.items()}
        if call.when == "teardown":
            self._add(self._result(item))
        return report

    def _add(self, result: CheckResult) -> None:
        self.results.append(result)
        self.session.on_result(result)

    def _result(self, item: pytest.Item) -> CheckResult:
        raised = next((call.excinfo for call in self._calls.values() if call.excinfo), None)
        notes = item.stash.get(notes_of, Notes())
        outcome, cause, summary = _judged(raised, notes)
        error = raised.value if raised else None
        evidence = {**self._captured, **notes.evidence}
        if outcome == "failed":
            evidence = {**self.session.evidence(notes.seats), **evidence}
        if outcome in ("failed", "error"):
            self.session.discard(notes.seats)
        if outcome == "error" and raised and "traceback" not in evidence:
            evidence["traceback"] = str(raised.getrepr(style="short"))[-TEXT:]
        title, fix = _told(item)
        return CheckResult(
            id=check_id(item),
            title=title,
            level=level_of(item),
            outcome=outcome,
            cause=cause,
            required=not (outcome == "skipped" and self._excused(item)),
            device=_device_of(item),
            summary=summary,
            measured=getattr(error, "measured", None),
            expected=getattr(error, "expected", None),
            likely=getattr(error, "likely", None),
            fix=getattr(error, "fix", None) or (fix if outcome in ("failed", "error") else None),
            measurements=tuple(notes.measurements),
            warnings=tuple(notes.warnings),
            seconds=round(time.time() - self._began, 3),
            evidence=evidence,
        )

    def _excused(self, item: pytest.Item) -> bool:
        """A skip that the kind of run explains: a GPU's check on a rehearsal, a lock's check where there is no lock."""
        rehearsed = self.session.subject.device == "cpu" and item.get_closest_marker("requires") is not None
        unlocked = self.session.subject.build is None and "lock" in getattr(item, "fixturenames", ())
        return rehearsed or unlocked


def _unreadable(path: Path, said: str) -> CheckResult:
    lines = [line.removeprefix("E").strip() for line in said.splitlines() if line.strip()] or ["it did not say why"]
    return CheckResult(
        id=short(path.stem),
        title=f"the checks in {path.name} can be read",
        level="quick",
        outcome="error",
        cause="raised",
        summary=f"{path.name} could not be imported: {lines[-1]}",
        fix=f"mend {path}",
        evidence={"traceback": said[-TEXT:]},
    )


def _judged(raised: Any, notes: Notes) -> tuple[Outcome, Cause | None, str]:
    """A failure is evidence about the host; whatever else a check raises is evidence about us."""
    if raised is None:
        return ("warned" if notes.warnings else "passed"), None, "; ".join(notes.warnings)
    error = raised.value
    if isinstance(error, pytest.skip.Exception):
        return "skipped", "requirement", str(error)
    if isinstance(error, RequirementMissing):
        return "failed", "requirement", str(error)
    if isinstance(error, WorkloadFailed):
        return "failed", error.cause, error.summary
    if isinstance(error, (CheckFailed, AssertionError, pytest.fail.Exception)):
        return "failed", "assertion", (str(error).strip() or "an assertion does not hold").splitlines()[0]
    if isinstance(error, CheckHung):
        return "error", "timeout", str(error)
    return "error", "raised", f"{type(error).__name__}: {error}".splitlines()[0]


def _told(item: pytest.Item) -> tuple[str, str | None]:
    """First line of the docstring, and what follows its "Fix:"."""
    lines = (getattr(getattr(item, "function", None), "__doc__", None) or item.name).strip().splitlines()
    fix = next((line.strip().removeprefix("Fix:").strip() for line in lines if line.strip().startswith("Fix:")), None)
    return lines[0].rstrip("."), fix


def _device_of(item: pytest.Item) -> str | None:
    found = getattr(getattr(item, "callspec", None), "params", {}).get("device")
    return getattr(found, "label", None)


def check_id(item: pytest.Item) -> str:
    """``memory.rows[gpu3]`` for check_rows in check_memory.py."""
    return f"{short(item.path.stem)}.{short(item.name)}"


def position(item: pytest.Item) -> int:
    """From the outside in: the host first, a site's own checks last; within a file as written."""
    group = short(item.path.stem)
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def level_of(item: pytest.Item) -> Level:
    """An unmarked check is a quick one; so is one with an unknown level, which then ends in an error that says so."""
    marker = item.get_closest_marker("level")
    name = marker.args[0] if marker and marker.args else "quick"
    return name if name in LEVELS else "quick"


def require_known_markers(item: pytest.Item) -> None:
    for marker, known in (("level", LEVELS), ("requires", REQUIREMENTS)):
        for found in item.iter_markers(marker):
            if len(found.args) != 1 or found.args[0] not in known:
                given = ", ".join(map(repr, found.args))
                raise BadMarker(f"{marker}({given}): give one of {', '.join(known)}")
