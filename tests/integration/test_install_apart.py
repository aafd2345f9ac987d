"""Store and target on different file systems: copied, and said."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.wheels import ONE, Provisioning, untrue_rows


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm and the tests' folder are one file system")
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder)


def test_files_are_copied(tmp_path: Path, elsewhere: Path) -> None:
    it = Provisioning(tmp_path)
    env = elsewhere / "env"
    done = it.install("one", "-v", env=env)
    assert done.returncode == 0, done.stderr
    assert f"{it.store.root} and {env} are on different file systems: files are copied, not linked" in done.stderr
    assert it.edition(env) == ONE
    assert untrue_rows(it.site_packages(env)) == []
    assert (it.site_packages(env) / "paddle/libs/libphi.so").stat().st_nlink == 1


def test_files_are_linked_on_one(tmp_path: Path) -> None:
    it = Provisioning(tmp_path)
    done = it.install("one", "-v")
    assert "different file systems" not in done.stderr
    assert (it.site_packages() / "paddle/libs/libphi.so").stat().st_nlink == 2
