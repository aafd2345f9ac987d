"""``install --repair`` puts right what has the right size and other bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.wheels import CPU, ONE, Provisioning, untrue_rows

LIST = ".paddle-bootstrap/files.sha256"


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    it = Provisioning(tmp_path)
    assert it.install("one").returncode == 0
    return it


def sha256sum(it: Provisioning) -> int:
    return subprocess.run(["sha256sum", "--check", "--status", LIST], cwd=it.env, check=False).returncode


def spoil(it: Provisioning, *, in_place: bool) -> Path:
    """One byte of Paddle's, in place (the store's unpacked copy is the same file) or in a file of its own."""
    path = it.site_packages() / "paddle/nn/deep.py"
    content = path.read_bytes().replace(b"deep", b"doop")
    if not in_place:
        path.unlink()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("in_place", [True, False])
def test_a_changed_byte(it: Provisioning, in_place: bool) -> None:
    path = spoil(it, in_place=in_place)
    assert sha256sum(it) == 1
    assert "nothing to do" in it.install("one").stdout  # sizes alone do not tell
    done = it.install("one", "--repair", "-v")
    assert done.returncode == 0, done.stderr
    assert "unpacking again, its files were edited: paddlepaddle-gpu" in done.stderr
    assert b"deep" in path.read_bytes()
    assert (sha256sum(it), it.edition(), untrue_rows(it.site_packages())) == (0, ONE, [])


def test_a_receipt_from_before_there_were_lists(it: Provisioning) -> None:
    receipt = it.env / ".paddle-bootstrap/receipt.json"
    old = {key: value for key, value in json.loads(receipt.read_text()).items() if key not in ("files", "origins")}
    receipt.write_text(json.dumps(old))
    (it.env / LIST).unlink()
    assert "nothing to do" in it.install("one").stdout
    assert it.install("one", "--repair").returncode == 0
    assert json.loads(receipt.read_text())["files"]
    assert sha256sum(it) == 0


def test_a_whole_target_stays_what_it_is(it: Provisioning) -> None:
    before = (it.env / LIST).read_bytes()
    assert it.install("one", "--repair").returncode == 0
    assert (it.env / LIST).read_bytes() == before


def by_itself(it: Provisioning, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb on the target, with no lock named, on a host that has no GPU to choose by."""
    command = [
        sys.executable,
        "-m",
        "paddle_bootstrap",
        verb,
        "--env",
        str(it.env),
        "--store",
        str(it.store.root),
        *words,
    ]
    environ = {**os.environ, "HOME": str(it.root)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=it.root, env=environ)


def test_what_is_there_is_repaired(it: Provisioning) -> None:
    """A rehearsal's target too: the receipt tells what belongs there."""
    assert it.install("cpu").returncode == 0
    (it.site_packages() / "astor/__init__.py").unlink()
    done = by_itself(it, "install", "--repair", "--offline")
    assert done.returncode == 0, done.stderr
    assert it.edition() == CPU


def test_a_target_of_the_gpu_build_keeps_it(it: Provisioning) -> None:
    told = by_itself(it, "plan").stdout
    assert f"what {it.env} holds" in told
    assert "(up to date)" in told
    assert "up to date" not in by_itself(it, "plan", "--device", "cpu").stdout


def test_a_rehearsal_says_nothing_of_the_next_run(it: Provisioning) -> None:
    """`up` on a host that lacks a GPU is rejected, whatever was rehearsed there before."""
    assert it.install("cpu").returncode == 0
    assert by_itself(it, "up", "--offline").returncode == 1
