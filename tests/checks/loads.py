"""Loads with Paddle in tests: real ones on the CPU target, and scripted ones on GPUs that are made up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks import scripted
from tests.checks.judging import judge
from tests.checks.target import FakeTarget
from tests.checks.workload import WORKLOADS

ANSWER = "answer: "
HERE = Path(__file__).parent
Rows = Sequence[Mapping[str, Any]]


def gives(device: int | None = None, /, *, where: Mapping[str, Any] | None = None, **what: Any) -> dict[str, Any]:
    """A row of a script: what is given on ``device`` (None: on all), where the arguments are as told."""
    return {"where": {**({} if device is None else {"device": device}), **(where or {})}, "gives": what}


def on_gpus(
    checks: str, target: FakeTarget, facts: HostFacts, build: Build, script: Mapping[str, Rows], **card: Any
) -> Callable[..., Mapping[str, CheckResult]]:
    """``check_CHECKS.py`` on three equal GPUs whose workloads obey ``script``: a function of what to choose and change."""

    def judged(keyword: str, gpus: int = 3, **more: Rows) -> Mapping[str, CheckResult]:
        site = target.env / "site"
        shutil.rmtree(site, ignore_errors=True)
        folder = scripted.copy(checks, site, {})
        for name in ("gemm", "convolution", "elementwise", "residual", "loader", "export", "speed"):
            shutil.copy(HERE / "scripted_load.py", folder / "workloads" / f"{name}.py")
        whole = {name: [*script.get(name, ()), *more.get(name, ())] for name in {**script, **more}}
        environ = {**os.environ, "FAKE_LOADS": json.dumps(whole)}
        options = {"checks": [folder], "level": "standard", "environ": environ}
        return judge(target, with_gpus(facts, gpus, **card), build, f"scripted and {keyword}", **options)

    return judged


def with_gpus(facts: HostFacts, count: int, **card: Any) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    gpus = tuple(replace(facts.gpus[0], index=index, uuid=f"GPU-{index}", **card) for index in range(count))
    return replace(facts, gpus=gpus)


def sabotaged(target: Path, faults: Mapping[str, tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """What real workloads give on the CPU once something in Paddle is broken: {name: (broken by, "gemm.matmul", arguments)}.

    All in one process of the target's, which imports Paddle once; what broke is mended again before the next.
    """
    process = _saboteur(target)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(faults) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith(ANSWER):
            told: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
            return told
    raise AssertionError(f"the saboteur ended with {process.wait(10)}")


@cache
def _saboteur(target: Path) -> subprocess.Popen[str]:
    """It ends when its input does, with this process."""
    command = [str(target / "bin/python"), "-I", "-B", str(HERE / "sabotage.py"), str(WORKLOADS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
