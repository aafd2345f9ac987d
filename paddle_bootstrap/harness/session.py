"""One run of checks: starts the worker first, then pytest, and returns results. pytest is imported inside, for the worker's sake."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.pool import Pool
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Device, Wheel
from paddle_bootstrap.results.model import CheckResult, Level

HERE = Path(__file__).parent
USAGE_ERROR = 4  # pytest's exit code when a conftest cannot be imported: nothing ran


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
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=64))
    _ahead: dict[tuple[str, ...], dict[int, Future[Any]]] = field(default_factory=dict)

    def calls(self, node: Any) -> Callable[[str, int | str | None, float, Mapping[str, Any]], Any]:
        """How the check ``node`` reaches its workloads."""
        check = f"{node.path}::{getattr(node, 'originalname', node.name)}"
        made = 0

        def call(workload: str, device: int | str | None, deadline: float, arguments: Mapping[str, Any]) -> Any:
            nonlocal made
            made += 1
            assert self.pool is not None, "a preflight check cannot use `run`"
            if isinstance(device, int):
                key = (check, str(made), workload, json.dumps(arguments, sort_keys=True, default=str))
                return self._on_all(key, workload, device, deadline, arguments)
            placed = {**arguments, "device": "cpu"} if device == "cpu" else arguments
            return self.pool.call(None, workload, placed, deadline)

        return call

    def _worker(self, index: int) -> int | None:
        """Calls that name no GPU share the first GPU's worker: one import of Paddle less."""
        first = next((device.index for device in devices(self.facts())), None)
        return None if index == first else index

    def _on_all(
        self, key: tuple[str, ...], workload: str, index: int, deadline: float, arguments: Mapping[str, Any]
    ) -> Any:
        """The first GPU's item starts the call on all GPUs at once; the others' items find it under way."""
        pool = self.pool
        assert pool is not None
        if index not in self._ahead.get(key, {}):
            self._ahead[key] = {
                int(device.index): self._threads.submit(
                    pool.call, self._worker(int(device.index)), workload, {**arguments, "device": device.ordinal}, deadline
                )
                for device in devices(self.facts())
            }
        return self._ahead[key].pop(index).result()

    def close(self) -> None:
        if self.pool:
            self.pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def built_in_checks() -> Path:
    """The checks that come with the tool: inside the package when installed, beside it in a checkout."""
    package = HERE.parent
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"


def run_checks(
    subject: Subject,
    *,
    facts: Callable[[], HostFacts],
    level: Level = "quick",
    checks: Sequence[Path] = (),
    keyword: str | None = None,
    environ: Mapping[str, str] = os.environ,
    preflight: bool = False,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> tuple[CheckResult, ...]:
    """Run the checks of ``level`` and below, built in and from the folders ``checks``.

    ``preflight``: only the built-in ones that need no target. Facts are asked for as late as possible.
    """
    folders = (built_in_checks(), *(() if preflight else checks))
    pool = None
    if subject.python is not None and not preflight:
        pool = Pool(subject.python, [folder / "workloads" for folder in folders], environ)
        pool.warm()
    session = Session(subject, facts, level, preflight, pool, on_result)
    try:
        return tuple(_pytest(session, folders, keyword))
    finally:
        session.close()


def _pytest(session: Session, folders: Sequence[Path], keyword: str | None) -> list[CheckResult]:
    results, code, said = _once(session, folders, keyword)
    if code == USAGE_ERROR and len(folders) > 1:
        sites = folders[1:]
        results, code, _ = _once(session, folders[:1], keyword)
        results += [_unreadable(site, said) for site in sites]
    elif code not in (0, 1, 5):
        raise RuntimeError(f"pytest ended with code {code}: {said}")
    return results


def _once(session: Session, folders: Sequence[Path], keyword: str | None) -> tuple[list[CheckResult], int, str]:
    with _scrubbed():
        import pytest

        from paddle_bootstrap.harness.fixtures import Fixtures
        from paddle_bootstrap.harness.plugin import Plugin

        plugin = Plugin(session)
        said = io.StringIO()
        arguments = ["-c", str(HERE / "checks.ini"), "--rootdir", str(folders[0]), "--import-mode=importlib"]
        arguments += ["--disable-plugin-autoload", "-p", "no:cacheprovider", "-p", "no:terminal", "--capture=sys"]
        arguments += ["--continue-on-collection-errors", *(["-k", keyword] if keyword else [])]
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
        summary=f"{site} could not be read; its checks did not run",
        fix=f"mend {site}/conftest.py",
        evidence={"traceback": said[-8192:]},
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
