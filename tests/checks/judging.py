"""Runs the real checks, through the real harness, on a host and a target that are made for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_bootstrap.harness.session import run_checks
from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Wheel
from paddle_bootstrap.results.model import CheckResult
from tests.checks.target import FakeTarget
from tests.fakes.host import FakeHost

Judged = Mapping[str, CheckResult]


def seen(host: FakeHost, folder: Path, **more: str) -> tuple[HostFacts, dict[str, str]]:
    """The facts of a fake host, and the environment in which a process sees it."""
    folder.mkdir(exist_ok=True)
    environ = {**os.environ, **host.write(folder), **more}
    root = Path(environ["PADDLE_BOOTSTRAP_ROOTFS"])
    return collect(root=root, environ=environ, paths={"target": folder}), environ


def preflight(facts: HostFacts, build: Build | None, environ: Mapping[str, str] = os.environ, **options: Any) -> Judged:
    """The host alone, before there is a target."""
    return by_id(
        run_checks(
            Subject(None, None, build.device if build else "gpu", build),
            facts=lambda: facts,
            host_only=True,
            environ=environ,
            **options,
        )
    )


def judge(
    target: FakeTarget | Path,
    facts: HostFacts,
    build: Build | None,
    keyword: str | None = None,
    *,
    wheels: tuple[Wheel, ...] = (),
    receipt: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    **options: Any,
) -> Judged:
    """The checks whose id has ``keyword`` in it, on a target; without a build, as one that another tool made."""
    env = target if isinstance(target, Path) else target.env
    device = build.device if build else "gpu"
    subject = Subject(env, env / "bin" / "python", device, build, wheels, receipt)
    return by_id(run_checks(subject, facts=lambda: facts, keyword=keyword, environ=environ, **options))


def by_id(results: tuple[CheckResult, ...]) -> Judged:
    return {result.id: result for result in results}


def passes(result: CheckResult) -> None:
    assert (result.outcome, result.warnings) == ("passed", ()), f"{result.outcome}: {result.summary}"


def warns(result: CheckResult, *words: str) -> None:
    assert result.outcome == "warned", f"{result.outcome}: {result.summary}"
    for word in words:
        assert word in result.summary


def fails(result: CheckResult, *words: str) -> None:
    """It failed, ``words`` are in what it says, and it says what was measured, what was expected and what to do next."""
    assert result.outcome == "failed", f"{result.outcome}: {result.summary}\n{result.evidence}"
    said = " | ".join(filter(None, (result.summary, result.measured, result.expected, result.likely, result.fix)))
    for word in words:
        assert word in said, said
    if result.cause == "assertion":
        assert result.measured, said
        assert result.expected, said
    assert result.fix, said
