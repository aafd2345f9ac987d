"""Files that are not what the verified wheels brought, each named; and lists that vouch for nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from paddle_bootstrap.digest import sha256_of
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.install import receipt
from paddle_bootstrap.lock.model import Build, Wheel
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import fails, judge, passes
from tests.checks.workload import load
from tests.fakes.wheels import Provisioning

LIST = ".paddle-bootstrap/files.sha256"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Provisioning:
    it = Provisioning(tmp_path_factory.mktemp("origin"))
    done = it.install("one")
    assert done.returncode == 0, done.stderr
    return it


@pytest.fixture
def env(origin: Provisioning, tmp_path: Path) -> Path:
    """A copy of the target whose files are its own."""
    return Path(shutil.copytree(origin.env, tmp_path / "env", symlinks=True))


@pytest.fixture
def packages(env: Path) -> Path:
    return next(env.glob("lib/python3.*/site-packages"))


@pytest.fixture
def verified(env: Path, healthy: HostFacts, gpu_build: Build) -> Callable[[], CheckResult]:
    def verified() -> CheckResult:
        told = receipt.read(env)
        assert told
        wheels = tuple(Wheel(**row) for row in told.wheels)
        options = {"level": "standard", "wheels": wheels, "receipt": asdict(told)}
        return judge(env, healthy, gpu_build, "files.wheels", **options)["files.wheels"]

    return verified


Verified = Callable[[], CheckResult]


def test_a_fresh_target_passes(verified: Verified) -> None:
    passes(verified())


def test_the_list_is_one_that_sha256sum_reads(env: Path) -> None:
    """Without this tool, and links, scripts and what the installer wrote are on it too."""
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", LIST], cwd=env, check=True)
    listed = (env / LIST).read_text()
    for name in ("/paddle/libs/libcudnn.so\n", "/nvidia/cudnn/lib/libcudnn.so.8\n", "  bin/astor\n", "/RECORD\n"):
        assert name in listed


def test_bytecode_says_nothing(packages: Path, verified: Verified) -> None:
    (packages / "paddle/__pycache__/stray.cpython-399.pyc").write_bytes(b"x")
    passes(verified())


def test_one_changed_byte(packages: Path, verified: Verified) -> None:
    """Of the same size: the quick level's check of sizes cannot see it."""
    library = packages / "nvidia/cudnn/lib/libcudnn.so.8"
    content = bytearray(library.read_bytes())
    content[-1] ^= 1
    library.write_bytes(content)
    result = verified()
    fails(result, "3 changed", "libcudnn.so.8", "install --repair --env DIR")  # and both of its links
    assert "missing" not in result.summary


def test_a_deleted_file_and_a_cut_one(packages: Path, verified: Verified) -> None:
    (packages / "paddle/nn/deep.py").unlink()
    os.truncate(packages / "astor/__init__.py", 3)
    fails(verified(), "1 changed, 1 missing", "changed: lib/python3", "astor/__init__.py", "missing: ", "deep.py")


def test_a_folder_where_a_file_was(packages: Path, verified: Verified) -> None:
    (packages / "paddle/nn/deep.py").unlink()
    (packages / "paddle/nn/deep.py").mkdir()
    fails(verified(), "1 changed", "deep.py")


@pytest.mark.parametrize("place", ["paddle/libs/libcudnn_ops.so.8", "nvidia/extra/lib/libcudnn.so.9", "astor/x.py"])
def test_a_foreign_file(place: str, packages: Path, verified: Verified) -> None:
    (packages / place).parent.mkdir(parents=True, exist_ok=True)
    (packages / place).write_text("x")
    fails(verified(), "1 foreign", place, "rm lib/python3")


def test_a_foreign_link_to_a_folder(packages: Path, verified: Verified) -> None:
    (packages / "paddle/elsewhere").symlink_to("/usr/lib")
    fails(verified(), "1 foreign", "paddle/elsewhere")


def test_another_packages_files_are_not_foreign(packages: Path, verified: Verified) -> None:
    """A package of the user's own may share NVIDIA's folder; its RECORD says so."""
    (packages / "nvidia/own2").mkdir()
    (packages / "nvidia/own2/mine.py").write_text("")
    (packages / "own2-1.dist-info").mkdir()
    (packages / "own2-1.dist-info/RECORD").write_text("nvidia/own2/mine.py,,\n")
    passes(verified())


@pytest.mark.parametrize("damage", ["cut", "edited", "gone"])
def test_a_list_that_vouches_for_less(damage: str, env: Path, packages: Path, verified: Verified) -> None:
    """A changed file whose line was taken off the list, or put right there."""
    (packages / "paddle/nn/deep.py").write_text("evil\n")
    lines = (env / LIST).read_text().splitlines(keepends=True)
    rest = {"cut": lines[:3], "edited": [line for line in lines if "deep.py" not in line], "gone": []}[damage]
    (env / LIST).write_text("".join(rest)) if rest else (env / LIST).unlink()
    fails(verified(), "is missing" if damage == "gone" else "was changed or cut", "install --repair")


def test_a_lock_of_other_wheels(origin: Provisioning, env: Path, healthy: HostFacts, gpu_build: Build) -> None:
    told = receipt.read(env)
    assert told
    other = tuple(Wheel(fake.name, fake.version, fake.path.name, 1, fake.sha256) for fake in origin.sets["two"])
    result = judge(env, healthy, gpu_build, "files.", level="standard", wheels=other, receipt=asdict(told))[
        "files.wheels"
    ]
    fails(result, "2 of the lock's 4 wheels", "paddlepaddle_gpu-2.6.2", "install --env DIR")


def test_an_older_receipt_is_no_evidence(env: Path, healthy: HostFacts, gpu_build: Build) -> None:
    """Skipped, and required: the run is inconclusive, not accepted."""
    told = receipt.read(env)
    assert told
    old = {**asdict(told), "files": None}
    result = judge(env, healthy, gpu_build, "files.", level="standard", receipt=old)["files.wheels"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert "install --repair" in result.summary


def test_a_name_with_a_line_break_is_read_as_sha256sum_writes_it(env: Path) -> None:
    odd = env / "a\nb"
    odd.write_text("x")
    written = subprocess.run(["sha256sum", odd.name], cwd=env, capture_output=True, text=True, check=True).stdout
    assert load("files").parsed(written) == ([], {"a\nb": sha256_of(odd)})
