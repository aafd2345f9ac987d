"""Fixtures of tests that run the whole command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.certificate import issued
from tests.fakes.lock_desk import Desk, desk_in


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's key and certificate, and the authority that issued it."""
    return issued(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def desk(
    tmp_path: Path, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """A project beside Paddle's hosts and a package index."""
    with desk_in(tmp_path, certificates, monkeypatch, capsys) as desk:
        yield desk
