"""The checks by the command line, on the real CPU target and on damaged copies of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.paddle


def verify(env: Path, folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and each check's result by its id."""
    results = folder / "results.json"
    command = [
        sys.executable,
        "-m",
        "paddle_bootstrap",
        "verify",
        "--env",
        str(env),
        "--results",
        str(results),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert results.is_file(), done.stderr
    return done.returncode, {check["id"]: check for check in json.loads(results.read_text())["checks"]}


@pytest.fixture
def clone(cpu_target: Path) -> Iterator[Path]:
    """The target's files by hard link: what a test changes, it replaces."""
    clone = cpu_target.parent / f".damaged-{os.getpid()}"
    subprocess.run(["cp", "-al", str(cpu_target), str(clone)], check=True)
    yield clone
    shutil.rmtree(clone)


def test_a_whole_target_is_accepted(cpu_target: Path, tmp_path: Path) -> None:
    code, checks = verify(cpu_target, tmp_path)
    assert code == 0
    assert {name for name, check in checks.items() if check["outcome"] == "warned"} <= {
        "device.cnn[cpu]",
        "host.shared_memory",  # a container's is small
    }
    assert {check["outcome"] for check in checks.values()} == {"passed", "warned", "skipped"}


def test_a_damaged_target_is_rejected(clone: Path, tmp_path: Path) -> None:
    packages = next(clone.glob("lib/python3*/site-packages"))
    library = min(packages.glob("paddle/libs/*.so*"), key=lambda path: path.stat().st_size)
    short = library.read_bytes()[:-4096]
    library.unlink()
    library.write_bytes(short)
    shutil.copytree(next(packages.glob("paddlepaddle-*.dist-info")), packages / "paddlepaddle_gpu-2.6.2.dist-info")
    code, checks = verify(clone, tmp_path, "-k", "install.packages or install.files or install.single_paddle")
    assert code == 1
    assert {name: check["outcome"] for name, check in checks.items()} == {
        "install.packages": "passed",
        "install.files": "failed",
        "install.single_paddle": "failed",
    }
    assert f"paddle/libs/{library.name}" in checks["install.files"]["measured"]
    assert "paddlepaddle-gpu 2.6.2" in checks["install.single_paddle"]["measured"]


def test_a_gpu_lock_is_not_met_by_a_cpu_build(cpu_target: Path, tmp_path: Path) -> None:
    """The target is sound, and still not what was asked for."""
    code, checks = verify(cpu_target, tmp_path, "--lock", "gpu-2_6_2-cu118", "-k", "install.build")
    assert code == 1
    assert checks["install.build"]["outcome"] == "failed"
    assert "a CPU build stands where the GPU build should" in checks["install.build"]["likely"]
