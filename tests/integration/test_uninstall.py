"""``uninstall``: what this tool made goes whole; in an environment of somebody else's only what it brought."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from paddle_bootstrap.filelock import held
from tests.fakes.wheels import ONE, Provisioning, build, digests
from tests.integration.test_install_root import needs_mounts


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def uninstall(it: Provisioning, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", "uninstall", "--env", str(it.env), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def uv(*words: str | Path) -> None:
    subprocess.run([find_uv_bin(), *words, "-q", "--offline"], check=True)


def add(it: Provisioning, name: str) -> None:
    wheel = build(it.root / "keep", name, "1", {f"{name}.py": ""})
    uv("pip", "install", "--no-deps", "--python", it.env / "bin/python", wheel.path)


def test_a_target_that_was_made_goes_whole(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    add(it, "keepme")
    before = digests(it.env)
    done = uninstall(it, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"would be removed: {it.env}, with 4 packages of its lock\n")
    assert "would be removed too, though no lock brought them: keepme 1\n" in done.stdout
    assert "would be removed: its kept state " in done.stdout
    assert digests(it.env) == before
    done = uninstall(it)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"removed: {it.env}, with 4 packages of its lock\n")
    assert not it.env.exists()
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []
    done = uninstall(it)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"there is no target {it.env}: nothing to remove" in done.stderr
    assert it.install("one").returncode == 0
    assert it.edition() == ONE


def test_an_environment_of_somebody_else_stays(it: Provisioning) -> None:
    """With what it had: a package that the lock names too stays, in the lock's version."""
    uv("venv", "--python", sys.executable, it.env)
    old = build(it.root / "keep", "astor", "0.7", {"astor/__init__.py": ""})
    uv("pip", "install", "--no-deps", "--python", it.env / "bin/python", old.path)
    add(it, "keepme")
    (it.env / "notes").write_text("mine")
    before = {path.name for path in it.env.rglob("*") if "astor" not in str(path)}
    it.install("one")
    it.install("two")
    done = uninstall(it, "--dry-run")
    assert done.stdout.splitlines()[1] == "stays: astor 0.8.1, keepme 1"
    assert it.edition()[0] == "two"
    done = uninstall(it)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        f"removed from {it.env}: nvidia-cublas-cu11 11.11.3.6, nvidia-cudnn-cu11 8.9.6.50, paddlepaddle-gpu 2.6.2"
    )
    compiled = {"__pycache__", *(path.name for path in it.env.rglob("keepme.*.pyc"))}
    after = {path.name for path in it.env.rglob("*") if "astor" not in str(path)}
    assert after - compiled == before - compiled
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []
    assert subprocess.run([it.env / "bin/python", "-c", "import astor, keepme"], check=False).returncode == 0
    done = uninstall(it)
    assert (done.returncode, "has no receipt: paddle-bootstrap installed nothing there" in done.stderr) == (14, True)


def test_foreign_and_busy_targets_are_refused(it: Provisioning) -> None:
    it.env.mkdir()
    (it.env / "thesis").write_text("")
    for more in ((), ("--dry-run",)):
        done = uninstall(it, *more)
        assert (done.returncode, f"the target {it.env} has no receipt" in done.stderr) == (14, True)
    (it.env / "thesis").unlink()
    assert it.install("one").returncode == 0
    with held(it.root / ".env.paddle-bootstrap.lock", "the target"):
        done = uninstall(it)
    assert (done.returncode, "is in use by process" in done.stderr) == (14, True)
    assert it.edition() == ONE


@needs_mounts
def test_a_mount_point_is_refused(it: Provisioning) -> None:
    """A rename would carry away what is mounted."""
    it.env.mkdir()
    words = [*it.command("one"), "--python", sys.executable, "--in-place"]
    remove = [sys.executable, "-m", "paddle_bootstrap", "uninstall", "--env", str(it.env)]
    script = f"mount -t tmpfs tmpfs {it.env} && {shlex.join(words)} && {shlex.join(remove)}; code=$?; ls {it.env}; exit $code"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, "bin\n" in done.stdout) == (14, True), done.stderr
    assert "is a mount point and cannot be swapped in one step" in done.stderr
    assert f"next:  remove what you want gone yourself: it is in {it.env}" in done.stderr


def test_a_broken_target_that_was_made_goes(it: Provisioning) -> None:
    it.install("one")
    (it.env / "bin/python").unlink()
    assert uninstall(it).returncode == 0
    assert not it.env.exists()
