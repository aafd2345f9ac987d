"""Running the checks on a host, before there is a target, or on a target, and making results of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.errors import InstallFailed, TargetRefused, UsageError
from paddle_bootstrap.harness.baselines import with_site
from paddle_bootstrap.harness.session import require_checks, run_checks
from paddle_bootstrap.harness.subject import Subject, built_in_checks
from paddle_bootstrap.host.facts import HostFacts, to_json
from paddle_bootstrap.install import receipt
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.target import own_python
from paddle_bootstrap.lock.model import Device, Lock, Wheel, build_from_json
from paddle_bootstrap.results.listed import Listed
from paddle_bootstrap.results.model import CheckResult, Results
from paddle_bootstrap.stages.choosing import Choice, meant
from paddle_bootstrap.stages.wish import Judging, Wish

Facts = Callable[[], HostFacts]


@dataclass(frozen=True)
class _Judged:
    """What is judged, and what it was made from."""

    subject: Subject
    lock: Mapping[str, Any] | None = None
    target: Mapping[str, Any] | None = None
    stage: Literal["preflight", "verify"] = "verify"


def preflight(wish: Wish, judging: Judging, choice: Choice, facts: Facts) -> Results:
    """May this host run the build at all? The quick checks that need no target. Its lock may still be to be composed."""
    build, lock = choice.build, choice.lock
    subject = Subject(None, None, build.device if build else wish.device or "gpu", build)
    told = _told(lock) if lock else {"name": choice.name, "sha256": None, "build": to_json(build)}
    judged = _Judged(subject, told, stage="preflight")
    return _run(wish, judging, judged, facts)


def require_usable(judging: Judging) -> None:
    """Raises UsageError for folders without checks, ConfigError for floors that cannot be judged by: before any work."""
    require_checks(judging.checks)
    with_site(judging.baseline)


def verify_host(wish: Wish, judging: Judging, *, facts: Facts) -> Results:
    """Run what needs no target: health, and the loads of the CUDA driver alone."""
    return _run(wish, judging, _Judged(Subject(None, None, wish.device or "gpu", None)), facts)


def verify_target(wish: Wish, judging: Judging, *, facts: Facts) -> Results:
    """Run the checks on the environment at ``wish.env`` and judge it."""
    env = wish.env.resolve()
    if not os.path.exists(env / "bin" / "python"):  # noqa: PTH110 false, not an error, where nobody may look
        hint = "install one first: paddle-bootstrap install --env DIR"
        raise TargetRefused(f"{env} is not an environment: it has no bin/python", hint=hint)
    own_python(env)  # one that hangs would keep every check waiting for its deadline
    return _run(wish, judging, _judged(wish, env), facts)


def listed_checks(judging: Judging) -> tuple[Listed, ...]:
    """Every check there is, with what it needs and proves."""
    from paddle_bootstrap.harness.listing import list_checks  # imports pytest, which a run does later

    require_checks(judging.checks)
    return list_checks((built_in_checks(), *(folder.resolve() for folder in judging.checks)), judging.keyword)


def recording(wish: Wish, facts: Facts) -> str:
    """Every reading of this host, as a description from which a fake host is made."""
    from paddle_bootstrap.host.recording import record

    return record(wish.environ, wish.root, facts())


def _judged(wish: Wish, env: Path) -> _Judged:
    """Against what: --lock when given, else the receipt, else nothing but the environment itself."""
    found = receipt.read(env)
    told = {"python": found.python, "cuda_runtime": found.cuda_runtime, "installed": found.created} if found else {}
    target = {"env": str(env), "receipt": found is not None, **told}
    if wish.lock is not None:
        return _by_lock(wish, env, found, target)
    python = env / "bin" / "python"
    if found is None:
        return _Judged(Subject(env, python, wish.device or "gpu", None), None, target)
    try:
        build = build_from_json(found.build) if found.build else None
    except ValueError as error:
        raise InstallFailed(f"the receipt of {env} is damaged: {error}", hint=f"install again: --env {env}") from error
    device = build.device if build else wish.device or "gpu"
    if wish.device not in (None, device):
        raise UsageError(
            f"{env} holds a {device} build ({found.lock_name}), but --device {wish.device} was asked for",
            hint=f"leave --device out, or install the other: paddle-bootstrap install --device {wish.device} --env DIR",
        )
    wheels = tuple(Wheel(**wheel) for wheel in found.wheels)
    lock = {"name": found.lock_name, "sha256": found.lock_sha256, "build": to_json(build)}
    lock |= {"first_use": list(found.first_use)}
    return _Judged(Subject(env, python, device, build, wheels, asdict(found)), lock, target)


def _by_lock(wish: Wish, env: Path, found: Receipt | None, target: Mapping[str, Any]) -> _Judged:
    from paddle_bootstrap.host.pythons import probe  # rarely used, and verify shall start at once
    from paddle_bootstrap.lock import pylock
    from paddle_bootstrap.lock.choose import choose

    lock = choose(wish.lock, wish.paddle, wish.device)
    python = env / "bin" / "python"
    wheels = pylock.select(lock, probe(python)).wheels
    subject = Subject(env, python, _device(wish, lock), lock.build, wheels, asdict(found) if found else None)
    return _Judged(subject, _told(lock), target)


def _told(lock: Lock) -> dict[str, Any]:
    first_use = [str(row) for row in lock.first_use]
    return {"name": lock.name, "sha256": lock.sha256, "build": to_json(lock.build), "first_use": first_use}


def _device(wish: Wish, lock: Lock) -> Device:
    return lock.build.device if lock.build else wish.device or "gpu"


def _run(wish: Wish, judging: Judging, judged: _Judged, facts: Facts) -> Results:
    started = time.monotonic()
    if wish.gpus is not None:
        meant(wish, facts())
    folders, options = judging.checks, {name: getattr(judging, name) for name in _ASKED}
    checks = run_checks(
        judged.subject,
        facts=facts,
        checks=folders,
        environ=wish.environ,
        on_result=_note,
        host_only=judged.subject.env is None,
        **options,
    )
    if judging.level != "quick" and judging.keyword is None and all(check.level != judging.level for check in checks):
        progress.warn(f"there is no check of level {judging.level}: those of the levels below it ran")
    return Results(
        tool=f"paddle-bootstrap {__version__}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        level=judging.level,
        device=judged.subject.device,
        host=to_json(facts()),
        lock=judged.lock,
        target=judged.target,
        transfers=(),
        checks=checks,
        seconds=round(time.monotonic() - started, 2),
        stage=judged.stage,
        asked=_left_out(wish, judging, judged),
    )


def _left_out(wish: Wish, judging: Judging, judged: _Judged) -> dict[str, str]:
    """The flags by which this run looked at less than it could."""
    within = None if judging.within is None else f"{judging.within:g} s"
    bare = judged.stage == "verify" and judged.subject.env is None
    host = "(nothing with Paddle: that needs a target)" if bare else None
    told = {"--host": host, "-k": judging.keyword, "--gpus": wish.gpus, "--within": within}
    return {flag: value for flag, value in told.items() if value is not None}


_ASKED = ("level", "keyword", "within", "baseline", "allow_busy", "force_load", "accepted")


def _note(result: CheckResult) -> None:
    progress.note(f"{result.outcome:8} {result.id}  {result.summary}")
