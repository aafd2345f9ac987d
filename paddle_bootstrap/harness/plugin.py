"""Our hooks: which checks run, and what their outcome means. Exit code and reports come from the results made here, never
from pytest's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from paddle_bootstrap.harness.acceptance import allowed
from paddle_bootstrap.harness.budget import left_out
from paddle_bootstrap.harness.channel import WorkloadFailed
from paddle_bootstrap.harness.clock import GRACE, Clock
from paddle_bootstrap.harness.devices import CPU, Device, NoDevice, device_of, devices, family, why_none
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.fixtures import RequirementMissing
from paddle_bootstrap.harness.markers import CHECK_SECONDS, LEVELS, MARKERS, cost_of, level_of, require_known_markers
from paddle_bootstrap.harness.notes import Notes, clock_of, notes_of, notes_on
from paddle_bootstrap.harness.outcomes import judged, left_itself_out, of_two, placed, printable, said, unreadable
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.harness.subject import TEXT, Session
from paddle_bootstrap.results.model import CheckResult

GROUPS = (
    *("kernel", "host", "environment", "nvml", "memory", "link", "power", "mode", "gpus"),
    *("install", "files", "architecture", "device", "libraries"),
    *("copy", "compute", "words"),  # loads of the CUDA driver alone
    *("gemm", "elementwise", "training", "speed", "collective", "soak"),  # with Paddle
    "counters",
)
IMPORT_SECONDS = 60.0  # for a file of checks or a conftest.py: what takes longer hangs


class CheckQuit(Exception):
    """A check asked pytest to end; the others still run."""


def short(name: str) -> str:
    return name.removeprefix("check_")


class Plugin:
    """The collection and the outcomes of one folder of checks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.results: list[CheckResult] = []
        self.collected: list[str] = []  # ids
        self.ended_by: BaseException | None = None  # what ended pytest early
        self._left_out: dict[str, str] = {}  # a family of items -> why there is no time for it
        self._began = 0.0
        self._calls: dict[str, pytest.CallInfo[None]] = {}
        self._captured: dict[str, str] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        for line in MARKERS:
            config.addinivalue_line("markers", line)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self) -> Generator[None, None, None]:
        sys.dont_write_bytecode |= not self.session.ours  # from here on files of checks are imported
        with Clock(IMPORT_SECONDS).running():
            yield

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
        items[:] = sorted((item for item in items if self._is_first(item) and self._wanted(item)), key=position)

    def _is_first(self, item: pytest.Item) -> bool:
        """Two checks of one id could not be told apart; the very same file may come twice, with a bundle and by --checks."""
        name = check_id(item).partition("[")[0]
        first = self.session.trial.known.setdefault(name, item.path)
        if first == item.path:
            return True
        if first.read_bytes() != item.path.read_bytes() and not any(result.id == name for result in self.results):
            self.add(of_two(name, first, item.path))
        return False

    def _wanted(self, item: pytest.Item) -> bool:
        if LEVELS.index(level_of(item)) > LEVELS.index(self.session.options.level):
            return False
        names = getattr(item, "fixturenames", ())
        unlocked = "lock" in names and self.session.subject.build is None
        return not (self.session.options.host_only and ("run" in names or unlocked))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected = [check_id(item) for item in session.items]
        for item in session.items:
            device = device_of(item)
            if isinstance(device, Device) and isinstance(device.index, int):
                self.session.meant.setdefault(family(item), set()).add(device.index)
        room = self.session.trial.room
        if room is not None:  # of what -k has left
            meant = devices(self.session.facts()) if self.session.subject.device == "gpu" else ()
            items = [item for item in session.items if not self._rehearsed(item)]
            self._left_out, self.session.trial.room = left_out(items, room, len(meant))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        try:
            with Clock(IMPORT_SECONDS).running() if isinstance(collector, pytest.Module) else nullcontext():
                report = yield
        except SystemExit as error:
            told = str(pytest.ExceptionInfo.from_exception(error).getrepr(style="short"))
            report = pytest.CollectReport(collector.nodeid, "failed", told, [])
        if report.failed:
            self.add(unreadable(collector.path, str(report.longrepr)))
        elif report.skipped:
            self.add(left_itself_out(collector.path, report.longrepr))
        return report

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.ended_by = excinfo.value

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own, which must have begun when this one raises
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        item.stash[clock_of] = Clock(120.0)
        require_known_markers(item)
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else CHECK_SECONDS[level_of(item)]
        item.stash[clock_of] = Clock(seconds, whole=marker is not None)
        if self._rehearsed(item):
            pytest.skip("rehearsal on the CPU")
        self._skip_what_must_wait(item)
        with kept_running(), item.stash[clock_of].running():
            yield

    def _skip_what_must_wait(self, item: pytest.Item) -> None:
        """There is no time for it, or its GPU gets no load."""
        if why := self._left_out.get(family(item)) or self._too_late(item):
            pytest.skip(f"left out by --within: {why}")
        device = device_of(item)
        loads = level_of(item) != "quick" and bool({"run", "cuda"} & set(getattr(item, "fixturenames", ())))
        if device and loads and (why := self.session.trial.held.get(device.label)):
            pytest.skip(f"{device.label} gets no load: {why}")
        if why := self._silent(item):
            pytest.skip(why)

    def _too_late(self, item: pytest.Item) -> str | None:
        """What ran before took longer than it says: a scheduler would end the run before its results are written."""
        within, trial = self.session.options.within, self.session.trial
        left = (within or 0.0) - (time.monotonic() - trial.began)
        cost = cost_of(item)
        if within is None or level_of(item) == "quick" or cost.seconds + cost.per_gpu <= left:
            return None
        why = f"it needs {cost.seconds + cost.per_gpu:g} s, and {round(max(left, 0), 1):g} s were left"
        self._left_out[family(item)] = why
        return why

    def _rehearsed(self, item: pytest.Item) -> bool:
        """Does a rehearsal on the CPU leave it out? What asks NVML or the CUDA driver means a GPU, marked or not."""
        needs = {"reading", "cuda"} & set(getattr(item, "fixturenames", ()))
        return self.session.subject.device == "cpu" and bool(needs or item.get_closest_marker("requires"))

    def _silent(self, item: pytest.Item) -> str | None:
        """Why a workload on this GPU would only wait: what opens the driver hangs where NVML does."""
        if self.session.subject.device == "cpu" or not {"run", "cuda"} & set(getattr(item, "fixturenames", ())):
            return None
        silent, device = self.session.sweeps.silent(), device_of(item)
        if "NVML" in silent and (device or item.get_closest_marker("requires")):
            return f"the driver hangs ({silent['NVML']}): see host.driver_loaded"
        asked = (
            [device.label] if device else list(silent) if item.get_closest_marker("requires") else []
        )  # CUDA opens all
        hangs = next((label for label in asked if label in silent), None)
        return f"{hangs} hangs ({silent[hangs]}): see nvml.answers[{hangs}]" if hangs else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with kept_running(), item.stash[clock_of].running():
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            with kept_running(), item.stash[clock_of].running(at_least=GRACE):
                yield
        except SystemExit:  # pytest has left its teardown half done: what comes next would be judged wrongly
            item.session.shouldstop = f"{check_id(item)} called sys.exit in its teardown"
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "setup":
            self._calls, self._began = {}, call.start
        self._calls[call.when] = call
        written = {name.removeprefix("Captured ").split()[0]: text for name, text in report.sections if text.strip()}
        self._captured = {f"check's {name}": text[-TEXT:] for name, text in written.items()}
        if call.when == "teardown":
            result = self._allowed(placed(self._result(item), device_of(item)), item)
            self._hold(result, item)
            self.add(result)
        return report

    def _allowed(self, result: CheckResult, item: pytest.Item) -> CheckResult:
        """A deviation that the site's settings accept is a pass that stays visible, until the acceptance ends."""
        device = device_of(item)
        gpu = device.gpu if isinstance(device, Device) else None
        model = gpu.name if gpu and isinstance(gpu.name, str) else None
        return allowed(result, self.session.options.accepted, model)

    def _hold(self, result: CheckResult, item: pytest.Item) -> None:
        """A GPU that failed gets no load, so that the evidence is kept; neither does one that others use."""
        trial, raised = self.session.trial, self._raised()
        if result.level != "quick" or isinstance(device_of(item), NoDevice):
            return
        for label in (result.device,) if result.device else getattr(raised and raised.value, "cards", ()):
            if result.outcome == "failed" and not result.accepted and not trial.options.force_load:
                trial.held.setdefault(label, f"{result.id} failed, and evidence is kept; to load it: --force-load")
            if notes_on(item).busy and not trial.options.allow_busy:
                trial.held.setdefault(label, f"others use it, see {result.id}; to load it all the same: --allow-busy")

    def add(self, result: CheckResult) -> None:
        result = printable(result)
        self.results.append(result)
        self.session.trial.on_result(result)

    def _result(self, item: pytest.Item) -> CheckResult:
        raised = self._raised()
        notes = item.stash.get(notes_of, Notes())
        outcome, cause, summary = judged(raised, notes)
        error = raised.value if raised else None
        evidence = {**self._captured, **notes.evidence}
        if outcome == "failed":
            evidence = {**self.session.evidence(notes.seats), **evidence}
        if outcome in ("failed", "error"):
            self.session.discard(notes.seats)
        ours = isinstance(error, (CheckFailed, WorkloadFailed, RequirementMissing))  # they say all there is to say
        if outcome in ("failed", "error") and raised and not ours and "traceback" not in evidence:
            evidence["traceback"] = str(item.repr_failure(raised))[-TEXT:]
        title, fix = told(item)
        device = device_of(item)
        return CheckResult(
            id=check_id(item),
            title=title,
            level=level_of(item),
            outcome=outcome,
            cause=cause,
            required=not (outcome == "skipped" and self._excused(item)),
            device=device.label if device else None,
            summary=summary,
            measured=said(error, "measured"),
            expected=said(error, "expected"),
            likely=said(error, "likely"),
            fix=said(error, "fix") or (fix if outcome in ("failed", "error") else None),
            measurements=tuple(notes.measurements),
            warnings=tuple(notes.warnings),
            seconds=round(time.time() - self._began, 3),
            evidence=evidence,
        )

    def _raised(self) -> pytest.ExceptionInfo[BaseException] | None:
        """What went wrong first; a skip hides nothing that went wrong after it."""
        found = [call.excinfo for call in self._calls.values() if call.excinfo]
        skips = pytest.skip.Exception
        return next((info for info in found if not isinstance(info.value, skips)), found[0] if found else None)

    def _excused(self, item: pytest.Item) -> bool:
        """A skip that is explained: a GPU's check on a rehearsal, a lock's check without a lock, what a card does not have,
        and what --within left no time for, if it is a load."""
        rehearsed = self._rehearsed(item)
        unlocked = self.session.subject.build is None and "lock" in getattr(item, "fixturenames", ())
        untimely = family(item) in self._left_out and level_of(item) != "quick"
        raised = self._raised()
        return rehearsed or unlocked or untimely or (raised is not None and isinstance(raised.value, NotSupported))


@contextmanager
def kept_running() -> Iterator[None]:
    """pytest.exit would end the run of all."""
    try:
        yield
    except pytest.exit.Exception as error:
        raise CheckQuit(f"the check called pytest.exit: {error}") from error


def told(item: pytest.Item) -> tuple[str, str | None]:
    """First line of the docstring, and what follows its "Fix:"."""
    said = str(getattr(getattr(item, "function", None), "__doc__", None) or "").strip()
    lines = said.splitlines() or [item.name]
    fix = next((line.strip().removeprefix("Fix:").strip() for line in lines if line.strip().startswith("Fix:")), None)
    return lines[0].rstrip("."), fix


def check_id(item: pytest.Item) -> str:
    """``memory.rows[gpu3]`` for check_rows in check_memory.py."""
    return f"{short(item.path.stem)}.{short(item.name)}"


def position(item: pytest.Item) -> int:
    """From the outside in: the host first, a site's own checks last; within a file as written."""
    group = short(item.path.stem)
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)
