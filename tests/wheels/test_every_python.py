"""Every row of every shipped lock: each Python that a lock serves installs it, imports Paddle and trains a CNN with it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.host import pythons
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock

ROOT = Path(__file__).resolve().parent.parent.parent
TRAIN = "import json, sys; sys.path.insert(0, sys.argv[1]); import cnn; print(json.dumps(cnn.train('cpu')))"
CUDNN = "import paddle; print(paddle.device.get_cudnn_version())"
NO_GPU = "ignore:You are using GPU version Paddle:UserWarning"  # said on hosts without one; all else is heard
FLOAT32 = 1e-4  # relative to NumPy in float64; 1.2e-6 was measured on both builds
ROWS = [(lock, python) for lock in map(pylock.read, pylock.shipped()) for python in pylock.pythons(lock)]

pytestmark = pytest.mark.wheels


@pytest.fixture(scope="module")
def found() -> frozenset[str]:
    """The Pythons of this host: "3.11"."""
    return frozenset(python.minor for python in pythons.find(os.environ))


@pytest.fixture
def place(test_store: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where the target goes: on the store's file system, so that files can be linked; several GB, so deleted at once."""
    folder = test_store.parent / "targets" / request.node.callspec.id
    shutil.rmtree(folder, ignore_errors=True)
    yield folder / "env"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(("lock", "python"), ROWS, ids=[f"{lock.name}-{python}" for lock, python in ROWS])
def test_row(lock: Lock, python: str, found: frozenset[str], place: Path, test_store: Path) -> None:
    """A row that was never run has no place in a lock."""
    if python not in found:
        pytest.skip(f"Python {python} is not on this host, which has {', '.join(sorted(found))}")
    install(lock, python, place, test_store)
    assert "nothing to do" in install(lock, python, place, test_store)
    trained = json.loads(
        ran([str(place / "bin" / "python"), "-I", "-B", "-c", TRAIN, str(ROOT / "checks/workloads")])[0]
    )
    losses = trained["loss"]
    assert trained["finite"]
    assert trained["shape"] == [1, 10]
    assert all(later < earlier for earlier, later in itertools.pairwise(losses)), losses
    assert max(trained["differences"].values()) < FLOAT32, trained["differences"]
    assert lock.build is not None
    if lock.build.cudnn_runtime:
        major, minor, patch = map(int, lock.build.cudnn_runtime.split("."))
        out, err = ran([str(place / "bin" / "python"), "-I", "-W", NO_GPU, "-c", CUDNN])
        assert (out.strip(), err) == (str(major * 1000 + minor * 100 + patch), "")


def install(lock: Lock, python: str, place: Path, store: Path) -> str:
    command = [sys.executable, "-m", "paddle_bootstrap", "install", "--lock", str(lock.path), "--python", python]
    command += ["--env", str(place), "--store", str(store)]
    return ran([*command, *(["--cuda-runtime", "wheels"] if lock.build and lock.build.libraries else [])])[0]


def ran(command: list[str]) -> tuple[str, str]:
    """What ``command`` wrote to standard output and standard error."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
