"""What only root can prepare: targets of other users, mount points, full disks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.install.sharing import closed_to
from tests.fakes.wheels import CPU, ONE, TWO, Provisioning, build, fill, write_lock

USER = 65534


def _can_mount() -> bool:
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_mounts = pytest.mark.skipif(os.geteuid() != 0 or not _can_mount(), reason="needs root that may mount")


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def mounted(
    it: Provisioning, mount: str, lock: str, *more: str, then: str = "true"
) -> subprocess.CompletedProcess[str]:
    """Install in a mount namespace of its own, after ``mount``; ``then`` looks at the outcome there."""
    install = shlex.join([*it.command(lock), *more, *(() if it.env.exists() else ("--python", sys.executable))])
    script = f"{mount} && {{ {install}; code=$?; {then}; exit $code; }}"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)


@needs_mounts
def test_a_mount_point_is_refused_unless_in_place(it: Provisioning) -> None:
    it.env.mkdir()
    mount = f"mount -t tmpfs tmpfs {it.env} && mkdir {it.env}/lost+found"
    done = mounted(it, mount, "one", "--python", sys.executable)
    assert done.returncode == 14, done.stderr
    assert "is a mount point and cannot be swapped in one step" in done.stderr
    assert "--in-place" in done.stderr
    done = mounted(it, mount, "one", "--python", sys.executable, "--in-place", then=f"{it.env}/bin/astor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("astor one\n")


@needs_mounts
def test_a_mount_inside_the_target_is_refused(it: Provisioning) -> None:
    """The swap would carry what is mounted away with the old target, and delete it there."""
    it.install("one")
    data = it.root / "data"
    data.mkdir()
    (data / "precious").write_text("")
    (it.env / "data set").mkdir()
    done = mounted(it, f"mount --bind {data} '{it.env}/data set'", "two")
    assert done.returncode == 14
    assert f"holds a mount point, {it.env}/data set, and cannot be swapped" in done.stderr
    assert (data / "precious").exists()
    assert it.edition() == ONE


@needs_mounts
def test_a_target_in_an_images_lower_layer(it: Provisioning) -> None:
    """An overlay file system cannot move such a directory: found out before any work."""
    layers = it.root / "layers"
    it.env = layers / "all" / "env"
    made = layers / "low" / "env"
    assert it.install("one", env=made).returncode == 0
    folders = " ".join(str(layers / name) for name in ("up/upper", "up/work", "all"))
    options = f"lowerdir={layers}/low,upperdir={layers}/up/upper,workdir={layers}/up/work"
    mount = f"mkdir {layers}/up {layers}/all && mount -t tmpfs tmpfs {layers}/up && mkdir -p {folders}"
    mount += f" && mount -t overlay -o {options} overlay {layers}/all"
    done = mounted(it, mount, "two", "--python", sys.executable, then=f"ls -A {layers}/all")
    assert done.returncode == 14, done.stderr
    assert "cannot be swapped in one step: Invalid cross-device link" in done.stderr
    assert "part of a container image" in done.stderr
    assert "==> installing" not in done.stderr
    assert done.stdout.split() == [".env.paddle-bootstrap.lock", "env"]


@needs_mounts
def test_a_read_only_disk(it: Provisioning) -> None:
    it.install("one")
    place = it.root / "ro"
    place.mkdir()
    done = mounted(it, f"mount -t tmpfs -o ro tmpfs {place}", "one", "--env", str(place / "env"))
    assert (done.returncode, "its file system is mounted read-only" in done.stderr) == (14, True)


@needs_mounts
def test_a_disk_mounted_noexec(it: Provisioning) -> None:
    """Nothing there could be loaded: said before any work. As a store it serves."""
    place = it.root / "noexec"
    place.mkdir()
    mount = f"mount -t tmpfs -o noexec tmpfs {place}"
    done = mounted(it, mount, "one", "--env", str(place / "env"), "--python", sys.executable, then=f"ls -A {place}")
    assert (done.returncode, done.stdout) == (14, "")
    assert "is on a file system mounted noexec" in done.stderr
    moved = f"{mount} && cp -r {it.store.root} {place}/store"
    done = mounted(it, moved, "one", "--store", str(place / "store"), then=f"{it.env}/bin/astor")
    assert done.stdout.endswith("astor one\n"), done.stderr


@needs_mounts
def test_the_disk_fills_up_midway(it: Provisioning) -> None:
    """The lock's sizes promised too little; the old target stays."""
    zeros = build(it.root / "wheels-two", "zeros", "1", {"zeros/data.bin": bytes(90_000_000)})
    it.sets["two"] = (*it.sets["two"], zeros)
    fill(it.store, it.sets["two"])
    write_lock(it.lock("two"), it.sets["two"], unpacked_bytes=1)
    small = it.root / "small"
    small.mkdir()
    it.env = small / "env"
    first = shlex.join([*it.command("one"), "--python", sys.executable])
    look = f"{it.env}/bin/astor; ls -A {small}"
    done = mounted(it, f"mount -t tmpfs -o size=80m tmpfs {small} && {first}", "two", then=look)
    assert done.returncode == 14, done.stderr
    assert "no room left" in done.stderr
    assert done.stdout.splitlines()[-3:] == ["astor one", ".env.paddle-bootstrap.lock", "env"]


def owners(tree: Path) -> set[int]:
    return {path.lstat().st_uid for path in (tree, *tree.rglob("*"))}


@needs_root
def test_root_installs_for_a_user(it: Provisioning) -> None:
    home = it.root / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    it.env = home / "deep" / "env"
    assert it.install("one").returncode == 0
    assert owners(home) == {USER}  # the folders on the way and the lock file as well
    theirs = it.env / "theirs"
    theirs.write_text("root's")  # root's own file in the user's target
    (it.env / "mode").mkdir(mode=0o2770)
    os.chown(it.env / "mode", USER, 12345)
    (it.env / "mode").chmod(0o2770)
    it.env.chmod(0o700)
    for lock, expected in (("two", TWO), ("cpu", CPU)):
        done = it.install(lock)
        assert done.returncode == 0, done.stderr
        assert it.edition() == expected
    assert {path.name for path in home.rglob("*") if path.lstat().st_uid != USER} == {"theirs"}
    command = [sys.executable, "-m", "paddle_bootstrap", "rollback", "--env", str(it.env)]
    subprocess.run(command, capture_output=True, check=True)
    assert it.edition() == TWO
    assert {path for path in home.rglob("*") if path.lstat().st_uid != USER and path.is_relative_to(it.env)} == {theirs}
    told = (it.env / "mode").stat()
    assert (told.st_gid, told.st_mode & 0o7777, it.env.stat().st_mode & 0o7777) == (12345, 0o2770, 0o700)
    assert owners(it.store.root) == {0}


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may reach; pytest's own are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
def test_a_python_that_the_user_cannot_reach(it: Provisioning, public: Path) -> None:
    """root's own Python in a user's target: it is made, and told."""
    os.chown(public, USER, USER)
    closed = public / "roots"
    closed.mkdir(mode=0o700)
    (closed / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (closed / "python3").chmod(0o755)
    done = it.install("one", "--python", str(closed / "python3"), env=public / "env")
    assert f"may not enter {closed}, where its Python is" in done.stderr
    assert closed_to(USER, str(closed / "python3")) == closed
    closed.chmod(0o711)
    assert closed_to(USER, str(closed / "python3")) is None


@needs_root
def test_a_user_meets_a_target_that_is_not_theirs(public: Path) -> None:
    """Judged by the same code as the command line, in a process that gave up root."""
    env, closed = public / "env", public / "closed"
    env.mkdir()
    closed.mkdir(mode=0o700)
    assert refusal(env) == f"the target {env} cannot be written: no permission in {env}"
    env.chmod(0o777)
    assert refusal(env) == f"the target {env} cannot be written: no permission in {public}"
    public.chmod(0o777)
    assert refusal(env) == f"the target {env} belongs to root"
    assert (
        refusal(closed / "deep" / "env") == f"the target {closed}/deep/env cannot be written: no permission in {closed}"
    )
    os.chown(env, USER, USER)
    assert refusal(env) == ""


def refusal(env: Path) -> str:
    """What ``inspect`` says to USER."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            from paddle_bootstrap.errors import TargetRefused
            from paddle_bootstrap.install import target

            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            try:
                target.inspect(env, None)
            except TargetRefused as error:
                os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read()
    os.wait()
    return told
