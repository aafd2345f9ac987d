"""The way of the data, composed: what the user asked for -> lock -> plan -> wheels -> target -> results.

Each stage is one function that takes what the one before returned; the verbs of the command line are these calls in a row.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.errors import TargetRefused, UsageError
from paddle_bootstrap.lock.model import Build, Device, Lock, Selection, Wheel, build_from_json
from paddle_bootstrap.results.model import CheckResult, Level, Results

if TYPE_CHECKING:  # verbs import only the rooms they use: verify must not pay for fetching
    from paddle_bootstrap.fetch.fetch import Fetched
    from paddle_bootstrap.fetch.store import Store
    from paddle_bootstrap.host.facts import HostFacts
    from paddle_bootstrap.host.interpreter import Interpreter
    from paddle_bootstrap.install.cuda_runtime import CudaChoice
    from paddle_bootstrap.install.install import Installed
    from paddle_bootstrap.install.receipt import Receipt
    from paddle_bootstrap.install.target import TargetState


@dataclass(frozen=True)
class Wish:
    """What the user asked for; flags, environment and settings files merged."""

    env: Path
    store: Path
    environ: Mapping[str, str]
    root: Path
    cwd: Path
    device: Device | None = None  # None: what the lock or the receipt says, else gpu
    python: str | None = None
    paddle: str | None = None
    lock: str | None = None
    mirrors: tuple[str, ...] = ()
    cuda_runtime: Literal["auto", "wheels", "system"] = "auto"
    in_place: bool = False


@dataclass(frozen=True)
class Judging:
    """How deep to look, and with whose checks."""

    level: Level = "quick"
    checks: tuple[Path, ...] = ()
    keyword: str | None = None


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first byte is fetched."""

    lock: Lock
    interpreter: Interpreter
    selection: Selection
    cuda: CudaChoice
    have: Mapping[str, Path]  # file name -> verified wheel in the store
    state: TargetState | None = None  # None: fetch alone, no target is touched

    @property
    def target(self) -> Path:
        assert self.state is not None
        return self.state.path

    @property
    def missing(self) -> tuple[Wheel, ...]:
        return tuple(wheel for wheel in self.selection.wheels if wheel.filename not in self.have)


def default_env(environ: Mapping[str, str], cwd: Path) -> Path:
    """The active virtual environment unless the tool itself lives in it, else ./.venv-paddle."""
    active = environ.get("VIRTUAL_ENV")
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        return Path(active)
    return cwd / ".venv-paddle"


def default_store(environ: Mapping[str, str]) -> Path:
    """``paddle-bootstrap`` in the XDG cache directory."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache"
    return Path(cache) / "paddle-bootstrap"


def read_facts(wish: Wish) -> HostFacts:
    """This host, and the file systems that the target and the store are on."""
    from paddle_bootstrap.host.collect import collect

    paths = {"target": wish.env, "store": wish.store}
    return collect(root=wish.root, environ=wish.environ, paths=paths)


def reading_facts(wish: Wish) -> Callable[[], HostFacts]:
    """Begin to read the facts in a thread; the function returned waits for them."""
    found: list[HostFacts | BaseException] = []

    def read() -> None:
        try:
            found.append(read_facts(wish))
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            found.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def facts() -> HostFacts:
        thread.join()
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    return facts


def choose_lock(wish: Wish) -> Lock:
    """The lock named by --lock, else the shipped one of --paddle and --device."""
    from paddle_bootstrap.lock import pylock

    if wish.lock is None:
        return pylock.read(pylock.for_version(wish.paddle, wish.device or "gpu"))
    lock = pylock.read(pylock.find(wish.lock))
    if lock.build and wish.device not in (None, lock.build.device):
        raise UsageError(f"--lock {wish.lock} holds a {lock.build.device} build, but --device {wish.device} was asked for")
    if lock.build and wish.paddle not in (None, lock.build.version):
        raise UsageError(f"--lock {wish.lock} holds Paddle {lock.build.version}, but --paddle {wish.paddle} was asked for")
    return lock


def make_plan(wish: Wish, lock: Lock) -> Plan:
    """Decide the interpreter, the CUDA libraries and the wheels for the target. Refuses a target that is not ours to change."""
    from paddle_bootstrap.install import target

    state = target.inspect(wish.env, wish.python)
    return replace(_plan(wish, lock, state.interpreter), state=state)


def plan_fetch(wish: Wish, lock: Lock) -> Plan:
    """Decide what to fetch; the target is only looked at for its Python, if it is there."""
    python = wish.env / "bin" / "python"
    from paddle_bootstrap.host.pythons import probe

    return _plan(wish, lock, probe(python) if wish.python is None and python.exists() else None)


def _plan(wish: Wish, lock: Lock, interpreter: Interpreter | None) -> Plan:
    from paddle_bootstrap.host import pythons
    from paddle_bootstrap.install import cuda_runtime
    from paddle_bootstrap.lock import pylock

    interpreter = interpreter or pythons.choose(wish.python, pylock.pythons(lock), wish.environ)
    cuda = cuda_runtime.resolve(wish.cuda_runtime, lock.build, wish.root, wish.environ)
    selection = pylock.select(lock, interpreter, groups=cuda.groups(lock))
    store = _store(wish)
    have = {wheel.filename: path for wheel in selection.wheels if (path := store.has(wheel))}
    return Plan(lock, interpreter, selection, cuda, have)


def _store(wish: Wish) -> Store:
    from paddle_bootstrap.fetch.store import Store

    return Store(wish.store)


def require_space(wish: Wish, plan: Plan) -> None:
    """Ask for all the room at once, before anything is downloaded. Raises NoSpace."""
    from paddle_bootstrap.install import space

    space.require(_needs(wish, plan))


def _needs(wish: Wish, plan: Plan) -> Any:
    from paddle_bootstrap.install import space

    build = plan.lock.build
    unpacked = build.unpacked_bytes if build and plan.missing else 0
    download = sum(wheel.size or 0 for wheel in plan.missing)
    return space.needs(download=download, unpacked=unpacked, store=wish.store, target=wish.env)


def fetch_wheels(wish: Wish, plan: Plan) -> Fetched:
    """Bring the selection's wheels into the store."""
    from paddle_bootstrap.fetch.fetch import fetch
    from paddle_bootstrap.mirrors.configured import configured

    if plan.state is not None:
        require_space(wish, plan)
    mirrors = configured(wish.mirrors, wish.environ, cwd=wish.cwd)
    if plan.missing:
        size = progress.human_bytes(sum(wheel.size or 0 for wheel in plan.missing))
        progress.step(f"fetching {len(plan.missing)} wheels of {plan.lock.name} ({size})")
    folder = plan.lock.build.index_folder if plan.lock.build else None
    return fetch(plan.selection.wheels, build=folder, mirrors=mirrors, store=_store(wish), environ=wish.environ)


def is_current(plan: Plan) -> bool:
    """There is nothing to do."""
    from paddle_bootstrap.install.install import is_current

    return plan.state is not None and plan.state.exists and is_current(plan.state, plan.selection, plan.cuda)


def install_target(wish: Wish, plan: Plan, fetched: Fetched) -> Installed:
    """Bring the target to the plan, in one step."""
    from paddle_bootstrap.install.install import Request, install

    assert plan.state is not None
    cache = _store(wish).uv_cache
    request = Request(plan.selection, plan.state, plan.interpreter, plan.cuda, cache, wish.environ, wish.in_place)
    return install(request, fetched.files)


def bring_up(wish: Wish, judging: Judging) -> Results:
    """Preflight, fetch, install, verify. A host that cannot be accepted is rejected before anything is downloaded."""
    from dataclasses import asdict

    from paddle_bootstrap.harness.session import require_checks

    started = time.monotonic()
    require_checks(judging.checks)
    facts = reading_facts(wish)
    lock = choose_lock(wish)
    device = lock.build.device if lock.build else wish.device or "gpu"
    progress.step(f"preflight: may this host run {lock.name}?")
    preflight = _run_checks(_Subject(None, device, lock.build), facts, Judging(), wish, preflight=True)
    if any(check.outcome == "failed" for check in preflight):
        return _results(_Subject(None, device, lock.build, lock=lock), facts, preflight, judging.level, started, "preflight")
    plan = make_plan(wish, lock)
    transfers: tuple[Mapping[str, Any], ...] = ()
    if is_current(plan):
        progress.step(f"{plan.target}: nothing to do, {lock.name} is installed")
    else:
        fetched = fetch_wheels(wish, plan)
        transfers = tuple(asdict(record) for record in fetched.transfers)
        for action in install_target(wish, plan, fetched).actions:
            progress.step(action)
    results = verify_target(replace(wish, device=device, lock=None), judging, facts=facts)
    return replace(results, transfers=transfers, seconds=round(time.monotonic() - started, 2))


def verify_target(wish: Wish, judging: Judging, *, facts: Callable[[], HostFacts] | None = None) -> Results:
    """Run the checks on the environment at ``wish.env`` and judge it."""
    from paddle_bootstrap.harness.session import require_checks
    from paddle_bootstrap.install import receipt

    started = time.monotonic()
    require_checks(judging.checks)
    env = wish.env.resolve()
    if not (env / "bin" / "python").exists():
        raise TargetRefused(
            f"{env} is not an environment: it has no bin/python", hint="install one first: paddle-bootstrap install --env DIR"
        )
    facts = facts or reading_facts(wish)
    found = receipt.read(env)
    subject = _subject(wish, env, found)
    checks = _run_checks(subject, facts, judging, wish, preflight=False)
    return _results(subject, facts, checks, judging.level, started, "verify")


@dataclass(frozen=True)
class _Subject:
    env: Path | None
    device: Device
    build: Build | None
    wheels: tuple[Wheel, ...] = ()
    receipt: Receipt | None = None
    lock: Lock | None = None


def _subject(wish: Wish, env: Path, found: Receipt | None) -> _Subject:
    """What is judged, and against what: --lock when given, else the receipt, else nothing but the environment itself."""
    if wish.lock is not None:
        from paddle_bootstrap.host.pythons import probe
        from paddle_bootstrap.lock import pylock

        lock = choose_lock(wish)
        wheels = pylock.select(lock, probe(env / "bin" / "python")).wheels
        device = lock.build.device if lock.build else wish.device or "gpu"
        return _Subject(env, device, lock.build, wheels, found, lock)
    if found is None:
        return _Subject(env, wish.device or "gpu", None)
    build = build_from_json(found.build) if found.build else None
    device = build.device if build else wish.device or "gpu"
    if wish.device not in (None, device):
        raise UsageError(
            f"{env} holds a {device} build ({found.lock_name}), but --device {wish.device} was asked for",
            hint=f"leave --device out, or install the other build: paddle-bootstrap install --device {wish.device} --env DIR",
        )
    wheels = tuple(Wheel(**wheel) for wheel in found.wheels)
    return _Subject(env, device, build, wheels, found)


def _run_checks(
    subject: _Subject, facts: Callable[[], HostFacts], judging: Judging, wish: Wish, *, preflight: bool
) -> tuple[CheckResult, ...]:
    from dataclasses import asdict

    from paddle_bootstrap.harness.session import Subject, run_checks

    judged = Subject(
        env=subject.env,
        python=subject.env / "bin" / "python" if subject.env else None,
        device=subject.device,
        build=subject.build,
        wheels=subject.wheels,
        receipt=asdict(subject.receipt) if subject.receipt else None,
    )
    return run_checks(
        judged,
        facts=facts,
        level=judging.level,
        checks=judging.checks,
        keyword=judging.keyword,
        environ=wish.environ,
        preflight=preflight,
        on_result=lambda result: progress.note(f"{result.outcome:8} {result.id}  {result.summary}"),
    )


def _results(
    subject: _Subject,
    facts: Callable[[], HostFacts],
    checks: tuple[CheckResult, ...],
    level: Level,
    started: float,
    stage: Literal["preflight", "verify"],
) -> Results:
    from paddle_bootstrap.host.facts import to_json

    return Results(
        tool=f"paddle-bootstrap {__version__}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        level=level,
        device=subject.device,
        host=to_json(facts()),
        lock=_lock_json(subject),
        target=_target_json(subject),
        transfers=(),
        checks=checks,
        seconds=round(time.monotonic() - started, 2),
        stage=stage,
    )


def _lock_json(subject: _Subject) -> Mapping[str, Any] | None:
    from paddle_bootstrap.host.facts import to_json

    if subject.lock is not None:
        return {"name": subject.lock.name, "sha256": subject.lock.sha256, "build": to_json(subject.build)}
    if subject.receipt is not None:
        return {"name": subject.receipt.lock_name, "sha256": subject.receipt.lock_sha256, "build": to_json(subject.build)}
    return None


def _target_json(subject: _Subject) -> Mapping[str, Any] | None:
    if subject.env is None:
        return None
    found = subject.receipt
    told = {"python": found.python, "cuda_runtime": found.cuda_runtime, "installed": found.created} if found else {}
    return {"env": str(subject.env), "receipt": found is not None, **told}


def describe(wish: Wish, plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for ``plan`` and ``plan --json``."""
    from paddle_bootstrap.install import space
    from paddle_bootstrap.mirrors.configured import configured

    build = plan.lock.build
    state = "up to date" if is_current(plan) else "to be changed" if plan.state and plan.state.exists else "to be made"
    return {
        "lock": plan.lock.name,
        "package": build.package if build else None,
        "version": build.version if build else None,
        "device": build.device if build else None,
        "python": plan.interpreter.version,
        "interpreter": plan.interpreter.path,
        "target": str(plan.target),
        "state": state,
        "cuda_runtime": plan.cuda.runtime,
        "cuda_reason": plan.cuda.reason,
        "wheels": [wheel.filename for wheel in plan.selection.wheels],
        "missing": [wheel.filename for wheel in plan.missing],
        "missing_bytes": sum(wheel.size or 0 for wheel in plan.missing),
        "mirrors": [mirror.name for mirror in configured(wish.mirrors, wish.environ, cwd=wish.cwd)],
        "space": space.describe(_needs(wish, plan)),
    }
