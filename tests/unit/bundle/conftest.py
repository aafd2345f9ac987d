"""A small bundle, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import bundle
from tests.fakes.wheels import FakeWheel, build, cpu_set, write_lock


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeWheel, ...]:
    folder = tmp_path_factory.mktemp("wheels")
    big = build(folder, "big-one", "1.0", {"big_one/data.bin": bytes(range(256)) * 9000, "big_one/__init__.py": ""})
    return (*cpu_set(folder), big)


@pytest.fixture(scope="session")
def lock(tmp_path_factory: pytest.TempPathFactory, wheels: tuple[FakeWheel, ...]) -> Path:
    return write_lock(tmp_path_factory.mktemp("lock") / "pylock.tiny.toml", wheels)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, lock: Path, wheels: tuple[FakeWheel, ...]) -> Path:
    """Not to be changed by a test."""
    return bundle.make(tmp_path_factory.mktemp("bundle") / "tiny.bundle", lock, wheels)[0]
