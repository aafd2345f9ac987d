"""Room: of a path, of a path yet to be made, of one that must be there."""

from __future__ import annotations

import os
from pathlib import Path

from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.filesystems import filesystem, of_host


def test_of_this_very_host(tmp_path: Path) -> None:
    found = filesystem("store", tmp_path)
    assert (found.role, found.path) == ("store", str(tmp_path))
    assert found.device == tmp_path.stat().st_dev
    room = os.statvfs(tmp_path)
    assert found.total_bytes == room.f_blocks * room.f_frsize
    assert isinstance(found.free_bytes, int)
    assert 0 < found.free_bytes <= room.f_blocks * room.f_frsize
    assert isinstance(found.kind, str)


def test_a_path_yet_to_be_made_is_where_its_parent_is(tmp_path: Path) -> None:
    assert filesystem("target", tmp_path / "a/b/c").device == tmp_path.stat().st_dev


def test_a_link_counts_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "proc").symlink_to("/proc")
    found = filesystem("target", tmp_path / "proc" / "not-there")
    assert (found.device, found.kind) == (Path("/proc").stat().st_dev, "proc")


def test_what_must_be_there(tmp_path: Path) -> None:
    found = of_host("shm", tmp_path, "dev/shm")
    assert found.device == found.kind == found.free_bytes == found.total_bytes
    assert found.free_bytes == Unknown(f"{tmp_path}/dev/shm: No such file or directory")


def test_of_the_host_below_its_root(tmp_path: Path) -> None:
    (tmp_path / "run/shm").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/shm").symlink_to("/run/shm")
    found = of_host("shm", tmp_path, "dev/shm")
    assert (found.path, found.device) == (f"{tmp_path}/dev/shm", tmp_path.stat().st_dev)
    (tmp_path / "run/shm").rmdir()
    (tmp_path / "run/shm").symlink_to("/dev/shm")
    found = of_host("shm", tmp_path, "dev/shm")
    assert found.free_bytes == Unknown(f"{tmp_path}/dev/shm: Too many levels of symbolic links")


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = filesystem("target", tmp_path / "file" / "env")
    assert found.device == tmp_path.stat().st_dev  # the target's own checks refuse it


def test_kind_is_that_of_the_longest_and_last_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    lines = [
        "/dev/sda1 / ext4 rw 0 0",
        f"none {str(tmp_path)[:-1]} wrong rw 0 0",  # a name that merely begins alike
        f"x {tmp_path} tmpfs rw 0 0",
        f"y {tmp_path} nfs4 rw 0 0",
        f"z {tmp_path}/with\\040space xfs rw 0 0",
        "r /mnt/a\rb\x0cc tmpfs rw 0 0",  # the kernel leaves these as they are
        "cut off",
    ]
    mounts.write_text("\n".join(lines) + "\n")
    assert filesystem("a", tmp_path, mounts=mounts).kind == "nfs4"
    (tmp_path / "with space").mkdir()
    assert filesystem("a", tmp_path / "with space" / "x", mounts=mounts).kind == "xfs"
    assert filesystem("a", Path("/"), mounts=mounts).kind == "ext4"


def test_kind_unknown(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("")
    assert filesystem("a", tmp_path, mounts=missing).kind == Unknown(f"{missing}: No such file or directory")
    assert filesystem("a", tmp_path, mounts=empty).kind == Unknown(f"{empty} has no mount that holds {tmp_path}")
    assert isinstance(filesystem("a", tmp_path, mounts=missing).free_bytes, int)
