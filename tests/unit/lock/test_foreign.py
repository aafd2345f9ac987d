"""Locks that other tools wrote: any PEP 751 lock with hashes can be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap import progress
from paddle_bootstrap.errors import DamagedLock, NoBuildFits
from paddle_bootstrap.lock import pylock
from tests.unit.fetch.conftest import Heard
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import SHA, changed

PLAIN = "six-1.16.0-py2.py3-none-any.whl"
LOCAL = "local-1.0%2Bcu118-cp311-cp311-manylinux_2_17_x86_64.whl"
LOCK = f"""\
lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.10"

[[packages]]
name = "six"
version = "1.16.0"
index = "https://index.test/simple"
sdist = {{ url = "https://files.test/six-1.16.0.tar.gz", size = 34041, hashes = {{ sha256 = "{SHA}" }} }}
wheels = [
    {{ url = "https://files.test/{PLAIN}", upload-time = 2021-05-05T14:18:17Z, size = 11053, hashes = {{ sha256 = "{SHA}" }} }},
]

[[packages]]
name = "local"
wheels = [{{ url = "https://files.test/{LOCAL}?signed=1", hashes = {{ md5 = "x", sha256 = "{SHA.upper()}" }} }}]
"""
DIRECT = '\n[[packages]]\nname = "direct"\narchive = {{ url = "https://files.test/direct.zip", hashes = {{ sha256 = "{}" }} }}\n'


def written(folder: Path, text: str = LOCK) -> Path:
    path = folder / "pylock.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_files_are_known_by_name_and_hash(tmp_path: Path) -> None:
    lock = pylock.read(written(tmp_path))
    assert (lock.name, lock.build, lock.default_groups, pylock.pythons(lock)) == ("pylock", None, (), ())
    six, local = pylock.select(lock, cpython("3.11")).wheels
    assert (six.filename, six.version, six.size, six.sha256, six.pieces) == (PLAIN, "1.16.0", 11053, SHA, ())
    assert local.filename == "local-1.0+cu118-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert (local.version, local.size, local.sha256) == ("1.0+cu118", None, SHA)


def test_the_same_file_may_stand_in_two_packages(tmp_path: Path) -> None:
    """Universal locks repeat a package for each platform."""
    again = LOCK[LOCK.index("[[packages]]") : LOCK.index('[[packages]]\nname = "local"')]
    text = LOCK + changed("[[packages]]", "[[packages]]\nmarker = \"sys_platform == 'win32'\"", again)
    assert len(pylock.select(pylock.read(written(tmp_path, text)), cpython("3.11")).wheels) == 2
    with pytest.raises(DamagedLock, match="is there twice"):
        pylock.read(written(tmp_path, text.replace(SHA, "f" * 64, 2)))


def test_a_file_without_sha256_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, changed("11053, hashes = { sha256", "11053, hashes = { md5", LOCK))
    with pytest.raises(DamagedLock) as caught:
        pylock.read(path)
    assert f"'{PLAIN}' has no sha256" in str(caught.value)


def test_what_is_no_wheel_is_named(tmp_path: Path) -> None:
    lock = pylock.read(written(tmp_path, LOCK + DIRECT.format(SHA)))
    with pytest.raises(NoBuildFits) as caught:
        pylock.select(lock, cpython("3.11"))
    assert str(caught.value).startswith("pylock.toml: direct has no wheel for cpython 3.11.7 on linux x86_64")


def test_its_own_python_range_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoBuildFits) as caught:
        pylock.select(pylock.read(written(tmp_path)), cpython("3.9"))
    assert "this one serves Python >=3.10" in caught.value.hint


@pytest.mark.parametrize("marker", ["extra == 'x'", "platform_release ~= 'x'"])
def test_a_marker_that_cannot_be_judged_never_crashes(marker: str, tmp_path: Path) -> None:
    text = changed('name = "six"', f'name = "six"\nmarker = "{marker}"', LOCK)
    with pytest.raises(DamagedLock) as caught:
        pylock.select(pylock.read(written(tmp_path, text)), cpython("3.11"))
    assert "a marker cannot be judged" in str(caught.value)


def test_what_is_ignored_in_a_newer_lock_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = changed('lock-version = "1.0"', 'lock-version = "1.1"\nsealed = true', LOCK)
    heard, path = Heard(), written(tmp_path, text)
    with progress.observed_by(heard):
        pylock.select(pylock.read(path), cpython("3.11"))
    assert heard.lines == [f"warn: {path}: lock-version 1.1, this version reads 1.0; ignored: sealed"]
    assert capfd.readouterr().err == ""
