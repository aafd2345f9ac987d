"""A clone is made of links and tells the target's path; the swap is one step, or is refused before any work."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from paddle_bootstrap.install import clone, swap


@pytest.fixture
def target(tmp_path: Path) -> Path:
    env = tmp_path / "env[1]"
    (env / "bin").mkdir(parents=True)
    (env / "closed").mkdir(mode=0o555)
    (env / "bin" / "tool").write_text("#!/old\n")
    (env / "lib").mkdir()
    (env / "lib64").symlink_to("lib")
    (env / "dangling").symlink_to("nowhere")
    os.mkfifo(env / "pipe")
    return env


def test_files_are_linked_and_folders_are_new(target: Path) -> None:
    copy = clone.fresh_name(target)
    clone.make(target, copy)
    assert copy.parent == target.parent
    assert sorted(path.name for path in copy.rglob("*")) == sorted(path.name for path in target.rglob("*"))
    assert (copy / "bin/tool").samefile(target / "bin/tool")
    assert not (copy / "bin").samefile(target / "bin")
    assert (copy / "lib64").readlink() == Path("lib")
    assert stat.S_IMODE((copy / "closed").stat().st_mode) == 0o555
    assert (copy / "lib").stat().st_mtime_ns == (target / "lib").stat().st_mtime_ns


def test_only_this_targets_leftovers_go(target: Path) -> None:
    """Whatever the name holds: a pattern's signs are no pattern."""
    place = clone.fresh_name(target)
    others = [".env1.paddle-bootstrap-01234567", ".env[1].paddle-bootstrap-0123456", ".env[1].paddle-bootstrap.lock"]
    others += [".env[1].paddle-bootstrap-x.paddle-bootstrap-01234567"]
    for name in (place.name, *others):
        (target.parent / name / "folder").mkdir(parents=True)
    (place / "folder").chmod(0o500)
    assert clone.leftovers(target) == [place]
    assert clone.remove_leftovers(target) == 1
    assert not place.exists()
    assert all((target.parent / name).exists() for name in others)
    assert target.exists()


def test_leftovers_of_a_target_whose_folder_is_missing(tmp_path: Path) -> None:
    assert clone.leftovers(tmp_path / "missing" / "env") == []


def test_scripts_tell_the_targets_path(tmp_path: Path) -> None:
    """Whatever their encoding; quotes are those of shells; the record tells the new size; linked files are not edited."""
    env, copy = tmp_path / "it's", tmp_path / "it's-copy"
    info = copy / "lib/python3.11/site-packages/x-1.dist-info"
    info.mkdir(parents=True)
    (copy / "bin").mkdir()
    quoted = str(copy).replace("'", "'\"'\"'")
    (copy / "bin/script").write_bytes(f"#!{copy}/bin/python\n# caf\xe9".encode("latin-1"))
    (copy / "bin/script").chmod(0o755)
    (copy / "bin/activate").write_text(f"VIRTUAL_ENV='{quoted}'\n")
    (copy / "bin/other").write_text("untouched")
    (copy / "bin/python").symlink_to("/usr/bin/python3")
    (copy / "pyvenv.cfg").write_text(f"command = {copy}\n")
    (info / "RECORD").write_text("../../../bin/script,sha256=x,1\nx.py,sha256=y,2\n")
    os.link(info / "RECORD", tmp_path / "linked")
    inode = (copy / "bin/other").stat().st_ino
    clone.settle(copy, env, info.parent)
    script = (copy / "bin/script").read_bytes()
    assert script == f"#!{env}/bin/python\n# caf\xe9".encode("latin-1")
    assert stat.S_IMODE((copy / "bin/script").stat().st_mode) == 0o755
    assert str(env).replace("'", "'\"'\"'") + "'" in (copy / "bin/activate").read_text()
    assert "copy" not in (copy / "bin/activate").read_text() + (copy / "pyvenv.cfg").read_text()
    first, second = (info / "RECORD").read_text().splitlines()
    assert first.startswith("../../../bin/script,sha256=")
    assert first.endswith(f",{len(script)}")
    assert second == "x.py,sha256=y,2"
    assert (tmp_path / "linked").read_text() == "../../../bin/script,sha256=x,1\nx.py,sha256=y,2\n"
    assert (copy / "bin/other").stat().st_ino == inode


def test_the_names_are_exchanged(target: Path) -> None:
    copy = target.parent / "copy"
    copy.mkdir()
    (copy / "new").write_text("")
    swap.exchange(copy, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert (copy / "bin/tool").exists()


def test_a_new_target_takes_a_free_name_only(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    swap.exchange(tmp_path / "copy", tmp_path / "env")
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


@pytest.mark.parametrize("exists", [True, False])
def test_the_rehearsal_changes_nothing(target: Path, exists: bool) -> None:
    before = sorted(target.parent.rglob("*"))
    swap.require_swappable(target if exists else target.with_name("new"), clone.fresh_name(target))
    assert sorted(target.parent.rglob("*")) == before


def test_mounts_are_seen() -> None:
    assert swap.mounts_in(Path("/proc"))[0] == Path("/proc")
    assert Path("/proc") in swap.mounts_in(Path("/"))
    assert swap.mounts_in(Path("/nowhere")) == []


def test_ctrl_c_waits_for_the_swap() -> None:
    with swap.uninterrupted():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
