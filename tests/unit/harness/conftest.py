"""What the harness's tests run on: plain Pythons as targets, and folders of checks that a test writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness.pool import Pool
from paddle_bootstrap.harness.session import run_checks
from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.results.model import CheckResult
from tests.fakes import facts
from tests.unit.harness.folders import Folder, Pools, Run

PLAIN = Path(sys.executable)


@pytest.fixture(scope="session")
def python38() -> Path:
    """The oldest Python that a target may have."""
    old = next((found.path for found in pythons.find(os.environ) if found.version.startswith("3.8.")), None)
    if old is None:
        pytest.skip("no Python 3.8 on this host")
    return Path(old)


@pytest.fixture(params=["this", "3.8"])
def python(request: pytest.FixtureRequest) -> Path:
    """This Python, and the oldest that a target may have."""
    old: Path | None = request.getfixturevalue("python38") if request.param == "3.8" else None
    return old or PLAIN


@pytest.fixture
def site(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "site")


@pytest.fixture
def pools() -> Iterator[Pools]:
    """Makes pools that are closed when the test ends."""
    made: list[Pool] = []

    def make(python: Path = PLAIN, *, ahead: str | None = None, **more: Any) -> Pool:
        made.append(Pool(python, dict(os.environ), ahead, **more))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.fixture
def run(site: Folder) -> Run:
    """Runs the checks of ``site`` through ``run_checks`` and gives their results by id.

    ``keyword`` chooses check_site.py, so that the checks that come with the tool are collected but not run.
    """

    def runner(
        *,
        gpus: int | None = None,
        folders: Sequence[Path] | None = None,
        host: HostFacts | None = None,
        subject: Subject | None = None,
        keyword: str | None = "check_site",
        **more: Any,
    ) -> dict[str, CheckResult]:
        meant = subject or Subject(site.path, PLAIN, "cpu" if gpus is None else "gpu", None)
        known = host or facts.host(gpus or 0)
        told = run_checks(meant, facts=lambda: known, checks=folders or (site.path,), keyword=keyword, **more)
        assert len({result.id for result in told}) == len(told)
        return {result.id: result for result in told}

    return runner


@pytest.fixture
def target_with(tmp_path: Path) -> Callable[[str], Path]:
    """The Python of an environment whose ``paddle`` is the text given."""

    def make(paddle: str) -> Path:
        env = tmp_path / "target"
        packages = env / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        packages.mkdir(parents=True)
        (env / "bin").mkdir()
        (env / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        (env / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        (packages / "paddle.py").write_text(paddle)
        return env / "bin" / "python"

    return make
