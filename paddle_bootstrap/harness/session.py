"""One run of checks: the worker is started first, then pytest is imported, and results come back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.pool import Pool, Seat, begin
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Device, Wheel
from paddle_bootstrap.results.model import CheckResult, Level

HERE = Path(__file__).parent
INTERRUPTED, USAGE_ERROR = 2, 4  # exit codes of pytest's
TEXT = 8192  # characters kept of what pytest says


@dataclass(frozen=True)
class Subject:
    """What is judged. ``env`` None: the host alone, before there is a target."""

    env: Path | None
    python: Path | None
    device: Device
    build: Build | None
    wheels: tuple[Wheel, ...] = ()
    receipt: Mapping[str, Any] | None = None


@dataclass
class Session:
    """What the plugin and the fixtures share."""

    subject: Subject
    facts: Callable[[], HostFacts]
    level: Level
    preflight: bool
    pool: Pool | None
    on_result: Callable[[CheckResult], None]
    _under_way: dict[str, dict[int, Future[Any]]] = field(default_factory=dict)  # a call -> GPU index -> its answer

    def calls(self, check: Path, item: str, used: set[Seat]) -> Callable[..., Any]:
        """How ``item`` of the file ``check`` reaches workloads: a site's own first, then those that come with the tool.

        The seats whose workers it uses are added to ``used``.
        """
        folders = tuple(dict.fromkeys((check.parent / "workloads", built_in_checks() / "workloads")))
        made = 0

        def call(workload: str, device: int | str | None, deadline: float, arguments: Mapping[str, Any]) -> Any:
            nonlocal made
            made += 1
            assert self.pool is not None, "there is no target yet: a check of the preflight cannot use `run`"
            if not isinstance(device, int):
                used.add(None)
                placed = {"device": device, **arguments} if device else arguments
                return self.pool.call(None, workload, folders, placed, deadline)
            used.add(self._seat(device))
            key = json.dumps([str(check), item, made, workload, arguments], sort_keys=True, default=str)
            return self._on_all(key, workload, folders, device, deadline, arguments)

        return call

    def _seat(self, index: int) -> Seat:
        """Calls that name no GPU share the first GPU's worker: one import of Paddle less."""
        first = next((device.index for device in devices(self.facts())), None)
        return None if index == first else index

    def _on_all(
        self,
        key: str,
        workload: str,
        folders: Sequence[Path],
        index: int,
        deadline: float,
        arguments: Mapping[str, Any],
    ) -> Any:
        """The first GPU's item starts the call on all GPUs at once; the others' items find it under way."""
        assert self.pool is not None
        if index not in self._under_way.get(key, {}):
            self._under_way[key] = {
                int(device.index): begin(
                    self.pool.call,
                    self._seat(int(device.index)),
                    workload,
                    folders,
                    {"device": device.ordinal, **arguments},
                    deadline,
                )
                for device in devices(self.facts())
            }
        return self._under_way[key].pop(index).result()

    def evidence(self, seats: set[Seat]) -> dict[str, str]:
        """What the workers of ``seats`` have written."""
        pool = self.pool
        return {name: text for seat in seats if pool for name, text in pool.evidence(seat).items()}

    def discard(self, seats: set[Seat]) -> None:
        """A check failed that used these: CUDA errors stick, so the next call gets a fresh worker."""
        if pool := self.pool:
            for seat in seats:
                pool.discard(seat)


def built_in_checks() -> Path:
    """The checks that come with the tool: inside the package when installed, beside it in a checkout."""
    package = HERE.parent
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"


def require_checks(folders: Sequence[Path]) -> None:
    """Raises UsageError for a folder of ``--checks`` that holds none: it would seem to have passed."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--checks {folder}: no such directory", hint="give the folder that holds check_*.py")
        if not any(folder.rglob("check_*.py")):
            raise UsageError(f"--checks {folder}: there is no check_*.py in it", hint="name check files check_NAME.py")


def run_checks(
    subject: Subject,
    *,
    facts: Callable[[], HostFacts],
    level: Level = "quick",
    checks: Sequence[Path] = (),
    keyword: str | None = None,
    environ: Mapping[str, str] = os.environ,
    preflight: bool = False,
    on_result: Callable[[CheckResult], None] = lambda _: None,
) -> tuple[CheckResult, ...]:
    """Run the checks of ``level`` and below, built in and from the folders ``checks``.

    ``preflight``: only the built-in ones that need no target. Facts are asked for as late as possible.
    Raises UsageError for a ``keyword`` that pytest cannot read, KeyboardInterrupt when the user ends the run.
    """
    pool = None
    if subject.python is not None and not preflight:
        pool = Pool(subject.python, environ)
        pool.start()
    session = Session(subject, facts, level, preflight, pool, on_result)
    try:
        return tuple(_all(session, () if preflight else tuple(checks), keyword))
    finally:
        if pool:
            pool.close()


def _all(session: Session, sites: Sequence[Path], keyword: str | None) -> list[CheckResult]:
    """A site whose conftest.py cannot be imported ends pytest before it starts; then it is left out, and said to be."""
    results, code, said = _once(session, (built_in_checks(), *sites), keyword)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code == USAGE_ERROR:
        broken = next((site for site in sites if str(site / "conftest.py") in said), None)
        if broken is None:
            raise UsageError(
                f"-k {keyword!r} cannot be understood: {_last_line(said)}", hint="for example: -k 'host or cnn'"
            )
        others = [site for site in sites if site != broken]
        return [*_all(session, others, keyword), _unreadable(broken, said)]
    if code not in (0, 1, 5):
        raise RuntimeError(f"pytest ended with code {code}: {said}")
    return results


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else "pytest did not say why"


def _once(session: Session, folders: Sequence[Path], keyword: str | None) -> tuple[list[CheckResult], int, str]:
    with _scrubbed():
        import pytest

        from paddle_bootstrap.harness.fixtures import Fixtures
        from paddle_bootstrap.harness.plugin import Plugin

        plugin = Plugin(session)
        said = io.StringIO()
        arguments = ["-c", str(HERE / "checks.ini"), "--rootdir", str(folders[0]), "--import-mode=importlib"]
        arguments += ["--disable-plugin-autoload", "-p", "no:cacheprovider", "-p", "no:terminal", "--capture=sys"]
        arguments += ["--strict-markers", "--continue-on-collection-errors", *(["-k", keyword] if keyword else [])]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = pytest.main([*arguments, *map(str, folders)], plugins=[plugin, Fixtures(session)])
    return plugin.results, int(code), said.getvalue()


def _unreadable(site: Path, said: str) -> CheckResult:
    return CheckResult(
        id=f"{site.name}.conftest",
        title=f"the checks in {site} can be read",
        level="quick",
        outcome="error",
        cause="raised",
        summary=f"{site}/conftest.py could not be imported; none of the checks beside it ran",
        fix=f"mend {site}/conftest.py",
        evidence={"traceback": said[-TEXT:]},
    )


@contextlib.contextmanager
def _scrubbed() -> Iterator[None]:
    """A host's own pytest settings do not reach us."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")}
    writes = sys.dont_write_bytecode
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        os.environ.update(kept)
