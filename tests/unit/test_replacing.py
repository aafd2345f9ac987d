"""A file is old or new: its other names, its mode, its owner, and what an error leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddle_bootstrap.replacing import replace_file, replace_files


def test_a_replaced_file_leaves_its_other_name_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    os.link(tmp_path / "file", tmp_path / "linked")
    replace_file(tmp_path / "file", b"new", 0o755)
    assert ((tmp_path / "file").read_text(), (tmp_path / "linked").read_text()) == ("new", "old")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o755
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444, 0o4755])
def test_the_old_files_mode_is_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(mode)
    replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o7777 == mode


def test_a_new_file_is_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "file", b"new")
        replace_file(tmp_path / "open", b"new", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "open").stat().st_mode & 0o7777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_leaves_a_users_file_to_them_where_that_is_meant(tmp_path: Path) -> None:
    for name in ("theirs", "ours"):
        (tmp_path / name).write_text("old")
        os.chown(tmp_path / name, 65534, 65534)
        replace_file(tmp_path / name, b"new", keep_owner=name == "theirs")
    assert ((tmp_path / "theirs").stat().st_uid, (tmp_path / "ours").stat().st_uid) == (65534, 0)


def test_one_that_cannot_be_written_leaves_all_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_files({tmp_path / "a": b"new", tmp_path / "none" / "b": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_name_that_is_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
