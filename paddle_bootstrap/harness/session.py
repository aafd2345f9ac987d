"""One run of checks: the worker is started first, then pytest is imported, and results come back."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_bootstrap import progress
from paddle_bootstrap.errors import TargetRefused, UsageError
from paddle_bootstrap.harness.acceptance import idle
from paddle_bootstrap.harness.pool import Pool
from paddle_bootstrap.harness.subject import HERE, TEXT, Options, Session, Subject, Trial, built_in_checks
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.results.model import CheckResult

if TYPE_CHECKING:
    from paddle_bootstrap.harness.plugin import Plugin

ENDED, USAGE_ERROR = (0, 1, 5), 4  # exit codes of pytest's; 5: nothing was chosen


def require_checks(folders: Sequence[Path]) -> None:
    """Raises UsageError for a folder of ``--checks`` that holds none: it would seem to have passed."""
    for folder in folders:
        if not os.path.isdir(folder):  # noqa: PTH112 false, not an error, where nobody may look
            raise UsageError(f"--checks {folder}: no such directory", hint="give the folder that holds check_*.py")
        if not any(folder.rglob("check_*.py")):
            raise UsageError(f"--checks {folder}: there is no check_*.py in it", hint="name check files check_NAME.py")


def run_checks(
    subject: Subject,
    *,
    facts: Callable[[], HostFacts],
    checks: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
    on_result: Callable[[CheckResult], None] = lambda _: None,
    **options: Any,
) -> tuple[CheckResult, ...]:
    """Run the checks that ``options`` (of ``Options``) choose, built in and from the folders ``checks``.

    Facts are asked for as late as possible. Raises UsageError for a keyword that pytest cannot read, KeyboardInterrupt
    when the user ends the run.
    """
    chosen = Options(**options)
    pool = None
    if subject.python is not None and not chosen.host_only:
        pool = Pool(subject.python, dict(environ))
        try:
            pool.start()
        except OSError as error:
            raise TargetRefused(f"{subject.python} cannot be run: {error.strerror}") from error
    trial = Trial(subject, chosen, facts, environ, on_result, pool)
    folders = tuple(dict.fromkeys((built_in_checks(), *(folder.resolve() for folder in checks))))
    try:
        found = [result for session in _sessions(trial, folders) for result in _in_folder(session, chosen.keyword)]
        for told in idle(chosen.accepted, trial.known):
            progress.warn(told)
        return tuple(found)
    finally:
        for workers in (pool, trial.bare):
            if workers:
                workers.close()


def _sessions(trial: Trial, folders: Sequence[Path]) -> Iterator[Session]:
    from paddle_bootstrap.harness.readings import Sweeps
    from paddle_bootstrap.harness.rounds import Rounds

    sweeps, rounds = Sweeps(trial.environ, trial.facts), Rounds(trial.environ)
    for folder in folders:
        yield Session(trial, folder, sweeps, rounds, ours=folder == built_in_checks())


def _in_folder(session: Session, keyword: str | None) -> list[CheckResult]:
    """Each folder gets a pytest of its own: what one site's conftest.py does reaches no other check."""
    with _scrubbed():
        from paddle_bootstrap.harness.plugin import Plugin

        plugin = Plugin(session)
    in_folder(plugin, keyword)
    return plugin.results


def in_folder(plugin: Plugin, keyword: str | None) -> None:
    """What ``plugin`` makes of its folder. Raises UsageError for a keyword that pytest cannot read, KeyboardInterrupt."""
    with _scrubbed():
        code, said = _pytest(plugin, keyword)
    if type(plugin.ended_by) is KeyboardInterrupt:  # pytest has others of its own below it
        raise KeyboardInterrupt
    if "passed to '-k'" in said:
        raise UsageError(
            f"-k {keyword!r} cannot be understood: {_last_line(said)}", hint="for example: -k 'host or cnn'"
        )
    answered = {result.id for result in plugin.results}
    lost = [found for found in plugin.collected if found not in answered]
    if code not in ENDED or lost or plugin.ended_by:
        why = str(plugin.ended_by or _last_line(said))
        plugin.add(_cut_short(plugin.session.folder, lost, why, said, early=code == USAGE_ERROR))


def _pytest(plugin: Plugin, keyword: str | None) -> tuple[int, str]:
    """pytest's exit code and what it said, which is nothing unless something is wrong with the folder as a whole."""
    import pytest

    from paddle_bootstrap.harness.fixtures import Fixtures

    folder = str(plugin.session.folder)
    arguments = ["-c", str(HERE / "checks.ini"), "--rootdir", folder, "--confcutdir", folder]
    arguments += ["--import-mode=importlib", "--disable-plugin-autoload", "-p", "no:cacheprovider", "-p", "no:terminal"]
    arguments += ["-p", "no:unraisableexception"]  # it would only cost time, for warnings that nobody is shown
    arguments += ["--capture=sys", "--strict-markers", "--continue-on-collection-errors"]
    arguments += ["-k", keyword] if keyword else []
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _forgetting(plugin.session.folder):
        try:
            code = int(pytest.main([*arguments, folder], plugins=[plugin, Fixtures(plugin.session)]))
        except (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception):  # noqa: BLE001 whatever a site's conftest.py does
            return USAGE_ERROR, said.getvalue() + traceback.format_exc()
    return code, said.getvalue()


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ").removeprefix("E ").strip() if lines else "pytest did not say why"


def _cut_short(folder: Path, lost: Sequence[str], why: str, said: str, *, early: bool) -> CheckResult:
    """Checks that were not run are never silently left out."""
    if early:
        summary = f"{folder}/conftest.py cannot be used, and none of the checks beside it ran: {why}"
        fix = f"mend {folder}/conftest.py"
    else:
        summary = f"the checks in {folder} ended early: {why}; without a result: {', '.join(lost) or 'none'}"
        fix = "see what ended them: paddle-bootstrap verify -v"
    return CheckResult(
        id=f"{folder.name}.conftest" if early else f"{folder.name}.all_checks_ran",
        title=f"the checks in {folder} can be run",
        level="quick",
        outcome="error",
        cause="raised",
        summary=summary,
        fix=fix,
        evidence={"traceback": said[-TEXT:]} if said else {},
    )


@contextlib.contextmanager
def _scrubbed() -> Iterator[None]:
    """A host's own pytest settings do not reach us, and ours not whoever called."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")}
    writes = sys.dont_write_bytecode
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        os.environ.update(kept)


@contextlib.contextmanager
def _forgetting(folder: Path) -> Iterator[None]:
    """Two sites may name their files alike: a module that was imported from ``folder`` is not found by the next."""
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]
