"""The command line in this process, in a folder and a home of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddle_bootstrap.cli import run
from paddle_bootstrap.results import store
from tests.fakes.wheels import cpu_set, write_lock
from tests.unit.results.runs import RUNS


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; ``here / "home"`` is the user's."""
    folder = tmp_path / "here"
    (folder / "home").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(here: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*words: str | Path) -> Said:
        capfd.readouterr()
        code = run([str(word) for word in words])
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def results(here: Path) -> Path:
    """The results file of a rejected host."""
    path = here / "results.json"
    store.write(RUNS["rejected"], path)
    return path


@pytest.fixture
def lock(here: Path) -> Path:
    """A lock of tiny wheels that any Python can install."""
    return write_lock(here / "pylock.tiny.toml", cpu_set(here / "wheels"))
