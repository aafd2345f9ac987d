"""One store of several users: read-only it serves whoever needs nothing that it lacks; a group may fill it together."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.wheels import ONE, TWO, Provisioning
from tests.integration.test_install_root import needs_mounts

ANNA, BERT, GROUP = 65533, 65534, 12345
CAPABILITY = "+dac_read_search"  # the Python that runs the tests may be closed to others; it allows no writing


def _can_be_others() -> bool:
    command = ["setpriv", "--reuid", str(ANNA), "--ambient-caps", CAPABILITY, "--inh-caps", CAPABILITY, "true"]
    try:
        return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_others = pytest.mark.skipif(not _can_be_others(), reason="needs root that may become others (setpriv)")


@pytest.fixture
def it() -> Iterator[Provisioning]:
    """In a folder that other users may reach; pytest's own are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Provisioning(Path(folder))


def install(it: Provisioning, user: int, lock: str, *more: str) -> subprocess.CompletedProcess[str]:
    """As ``user``, into a target of their own."""
    home = it.root / f"home-{user}"
    if not home.exists():
        home.mkdir()
        os.chown(home, user, GROUP)
    become = ["setpriv", "--reuid", str(user), "--regid", str(GROUP), "--clear-groups"]
    become += ["--inh-caps", CAPABILITY, "--ambient-caps", CAPABILITY]
    command = [*become, *it.command(lock, *more, env=home / "env"), "--python", sys.executable]
    return subprocess.run(
        ["sh", "-c", f"umask 002; {shlex.join(command)}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
    )


def unpack_all(it: Provisioning, lock: str) -> None:
    assert it.install(lock, env=it.root / "owners").returncode == 0


@needs_others
def test_somebody_elses_store_serves_what_it_has(it: Provisioning) -> None:
    unpack_all(it, "one")
    before = sorted(it.store.root.rglob("*"))
    done = install(it, BERT, "one", "--no-keep-wheels")
    assert done.returncode == 0, done.stderr
    env = it.root / f"home-{BERT}" / "env"
    assert it.edition(env) == ONE
    assert {path.lstat().st_uid for path in env.rglob("*")} == {BERT}
    assert "nothing to do" in install(it, BERT, "one").stdout
    assert sorted(it.store.root.rglob("*")) == before


@needs_others
def test_what_somebody_elses_store_lacks_is_named(it: Provisioning) -> None:
    unpack_all(it, "one")
    lost = it.sets["two"][0]
    it.store.path(lost.sha256, lost.path.name).unlink()
    done = install(it, BERT, "two", "--mirror", str(it.root / "wheels-two"))
    assert done.returncode == 14, done.stderr
    assert f"the store {it.store.root} cannot be written by this user, and lacks 2 of 4 wheels" in done.stderr
    assert "  - missing: paddlepaddle_gpu-2.6.2-py3-none-any.whl (" in done.stderr
    assert "  - not unpacked: astor-0.8.1-py3-none-any.whl (" in done.stderr
    assert "name a store of your own with --store" in done.stderr
    assert not (it.root / f"home-{BERT}" / "env").exists()
    mirrors = ["--mirror", str(it.root / "wheels-two")]
    own = install(it, BERT, "two", *mirrors, "--store", str(it.root / f"home-{BERT}" / "store"))
    assert own.returncode == 0, own.stderr


@needs_others
def test_a_group_fills_a_store_together(it: Provisioning) -> None:
    shutil.rmtree(it.store.root)
    it.store.root.mkdir()
    os.chown(it.store.root, ANNA, GROUP)
    it.store.root.chmod(0o2775)
    for user, lock, edition in ((ANNA, "one", ONE), (BERT, "two", TWO)):
        done = install(it, user, lock, "--mirror", str(it.root / f"wheels-{lock}"))
        assert done.returncode == 0, done.stderr
        assert it.edition(it.root / f"home-{user}" / "env") == edition
    command = [sys.executable, "-m", "paddle_bootstrap", "store", "list", "--store", str(it.store.root)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{it.root}/home-{ANNA}/env, {it.root}/home-{BERT}/env" in told


@needs_mounts
def test_a_store_on_a_disk_that_is_mounted_read_only(it: Provisioning) -> None:
    """As an NFS export often is: nothing is written, no lock file is needed, files are copied."""
    unpack_all(it, "one")
    mount = f"mount --bind {it.store.root} {it.store.root} && mount -o remount,ro,bind {it.store.root}"
    command = shlex.join([*it.command("one", "--no-keep-wheels"), "--python", sys.executable])
    again = shlex.join(it.command("two"))
    script = f"{mount} && {command} && {again}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert f"{it.env} now holds one" in done.stdout
    assert (done.returncode, "cannot be written by this user, and lacks 2 of 4 wheels" in done.stderr) == (14, True)
    assert it.edition() == ONE
