"""CUDA libraries that come from elsewhere, do not load, or are not the expected ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from tests.checks.judging import Judged, fails, judge, passes
from tests.checks.target import FakeTarget, shared_library

Verified = Callable[..., Judged]
NEEDED = ("libcublas.so", "libcudnn.so")


@pytest.fixture
def build(gpu_build: Build) -> Build:
    """The shipped build, which asks for two libraries here."""
    assert gpu_build.libraries is not None
    return replace(gpu_build, libraries=replace(gpu_build.libraries, needs={"libcublas.so": "11", "libcudnn.so": "8"}))


@pytest.fixture
def wheels(fake_target: FakeTarget) -> dict[str, Any]:
    """A receipt of libraries that came in NVIDIA's wheels and are linked."""
    fake_target.paddle()
    return {"cuda_runtime": "wheels", "links": list(fake_target.cuda_libraries(NEEDED)), "libraries": {}}


@pytest.fixture
def system(fake_target: FakeTarget, tmp_path: Path) -> dict[str, Any]:
    """A receipt of libraries that the system had."""
    fake_target.paddle()
    return {"cuda_runtime": "system", "links": [], "libraries": folder_of(tmp_path / "cuda", *NEEDED)}


@pytest.fixture
def verified(fake_target: FakeTarget, healthy: HostFacts, build: Build) -> Verified:
    def verified(receipt: dict[str, Any] | None, **environ: str) -> Judged:
        return judge(fake_target, healthy, build, "libraries.", receipt=receipt, environ={**os.environ, **environ})

    return verified


def folder_of(folder: Path, *names: str) -> dict[str, str]:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(shared_library())
    return {name: str(folder / name) for name in names}


def test_linked_wheels_pass(verified: Verified, wheels: dict[str, Any]) -> None:
    results = verified(wheels)
    assert list(results) == ["libraries.origin", "libraries.load", "libraries.cudnn"]
    for result in results.values():
        passes(result)


def test_the_systems_libraries_pass(verified: Verified, system: dict[str, Any], tmp_path: Path) -> None:
    for result in verified(system, LD_LIBRARY_PATH=str(tmp_path / "cuda")).values():
        passes(result)


def test_wheels_without_a_receipt_pass(verified: Verified, wheels: dict[str, Any]) -> None:
    """Another tool installed what the lock names."""
    assert wheels["links"]
    for result in verified(None).values():
        passes(result)


def test_a_foreign_library_on_the_way(verified: Verified, wheels: dict[str, Any], tmp_path: Path) -> None:
    folder_of(tmp_path / "other", "libcudnn.so")
    result = verified(wheels, LD_LIBRARY_PATH=str(tmp_path / "other"))["libraries.origin"]
    fails(result, "1 CUDA libraries come from elsewhere", str(tmp_path / "other/libcudnn.so"), "env -u LD_LIBRARY_PATH")


def test_a_foreign_library_that_aborts_paddle(
    verified: Verified, wheels: dict[str, Any], tmp_path: Path, fake_target: FakeTarget
) -> None:
    """As a part of another cuDNN does: what is on the way is said before Paddle is asked."""
    folder_of(tmp_path / "other", "libcudnn.so")
    fake_target.put("paddle/__init__.py", "import os\nos.abort()\n")
    result = verified(wheels, LD_LIBRARY_PATH=str(tmp_path / "other"))["libraries.origin"]
    fails(result, "1 CUDA libraries come from elsewhere", "env -u LD_LIBRARY_PATH")


def test_a_foreign_library_in_the_process(
    verified: Verified, wheels: dict[str, Any], tmp_path: Path, fake_target: FakeTarget
) -> None:
    """Opened by its path, or found in the system's cache: /proc/self/maps shows it."""
    (tmp_path / "other").mkdir()
    foreign = tmp_path / "other" / "libcublasLt.so.12"
    foreign.write_bytes(shared_library())
    source = (fake_target.packages / "paddle/__init__.py").read_text()
    fake_target.put("paddle/__init__.py", f"import ctypes\nctypes.CDLL({str(foreign)!r})\n{source}")
    fails(verified(wheels)["libraries.origin"], "come from elsewhere", str(foreign))


def test_a_library_of_another_package_of_the_target(
    verified: Verified, wheels: dict[str, Any], fake_target: FakeTarget
) -> None:
    """Inside the environment, and still not the receipt's."""
    other = fake_target.put("torch/lib/libcudnn.so", shared_library())
    result = verified(wheels, LD_LIBRARY_PATH=str(other.parent))["libraries.origin"]
    fails(result, "torch/lib/libcudnn.so")


def test_another_cuda_than_the_recorded_one(verified: Verified, system: dict[str, Any], tmp_path: Path) -> None:
    folder_of(tmp_path / "newer", "libcudnn.so")
    both = f"{tmp_path / 'newer'}:{tmp_path / 'cuda'}"
    fails(
        verified(system, LD_LIBRARY_PATH=both)["libraries.origin"], str(tmp_path / "newer/libcudnn.so"), str(tmp_path)
    )


def test_a_link_that_leads_nowhere(verified: Verified, wheels: dict[str, Any], fake_target: FakeTarget) -> None:
    (fake_target.packages / "nvidia/demo/lib/libcudnn.so.8").unlink()
    result = verified(wheels)["libraries.load"]
    fails(result, "1 of 2 CUDA libraries do not load", "paddle/libs/libcudnn.so", "No such file", "install --env DIR")


def test_a_link_that_was_removed(verified: Verified, wheels: dict[str, Any], fake_target: FakeTarget) -> None:
    (fake_target.packages / "paddle/libs/libcudnn.so").unlink()
    fails(verified(wheels)["libraries.load"], "1 of 2 CUDA libraries do not load", "paddle/libs/libcudnn.so")


def test_a_library_that_is_damaged(verified: Verified, wheels: dict[str, Any], fake_target: FakeTarget) -> None:
    fake_target.put("nvidia/demo/lib/libcudnn.so.8", b"\x7fELF and no more")
    fails(verified(wheels)["libraries.load"], "1 of 2 CUDA libraries do not load", "libcudnn.so: file too short")


def test_a_receipt_that_lacks_what_the_build_needs(verified: Verified, wheels: dict[str, Any]) -> None:
    for links in ([link for link in wheels["links"] if "cudnn" not in link], []):
        result = verified({**wheels, "links": links})["libraries.load"]
        fails(result, "CUDA libraries are neither linked nor recorded", "libcudnn.so")


def test_a_recorded_library_that_is_gone(verified: Verified, system: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cuda/libcublas.so").unlink()
    fails(verified(system)["libraries.load"], "1 of 2 CUDA libraries do not load", str(tmp_path / "cuda/libcublas.so"))


def test_libraries_that_nobody_has(verified: Verified, fake_target: FakeTarget) -> None:
    fake_target.paddle(finds=None)
    results = verified(None)
    fails(results["libraries.load"], "2 of 2 CUDA libraries do not load", "libcudnn.so: cannot open shared object")
    fails(results["libraries.cudnn"], "Paddle finds no cuDNN", "8906", "libraries.load")


@pytest.mark.parametrize(("finds", "fits"), [(8906, True), (8600, False), (8907, False), (None, False)])
def test_the_cudnn_of_the_wheels(
    finds: int | None, fits: bool, verified: Verified, wheels: dict[str, Any], fake_target: FakeTarget
) -> None:
    fake_target.paddle(finds=finds)
    result = verified(wheels)["libraries.cudnn"]
    if fits:
        passes(result)
    else:
        fails(result, f"get_cudnn_version() says {finds}", "8906")


@pytest.mark.parametrize(("finds", "fits"), [(8600, True), (8907, True), (8500, False), (9000, False), (90100, False)])
def test_the_cudnn_of_the_system(
    finds: int, fits: bool, verified: Verified, system: dict[str, Any], fake_target: FakeTarget
) -> None:
    """Not older than the one that Paddle was built with, and of the same major."""
    fake_target.paddle(finds=finds)
    result = verified(system)["libraries.cudnn"]
    if fits:
        passes(result)
    else:
        fails(result, f"Paddle finds cuDNN {finds}", "8600 or newer of that major", "env -u LD_LIBRARY_PATH")


def test_a_build_with_a_cudnn_that_counts_in_ten_thousands(
    fake_target: FakeTarget, healthy: HostFacts, build: Build, system: dict[str, Any]
) -> None:
    later = replace(build, cudnn_built="9.5.1", cudnn_runtime="9.5.1")
    for finds, fits in ((90501, True), (91000, True), (90500, False), (8906, False), (100000, False)):
        fake_target.paddle(finds=finds)
        result = judge(fake_target, healthy, later, "libraries.cudnn", receipt=system)["libraries.cudnn"]
        assert (result.outcome == "passed") == fits, finds


def test_a_composed_lock_knows_no_cudnn_that_paddle_was_built_with(
    fake_target: FakeTarget, healthy: HostFacts, build: Build, wheels: dict[str, Any]
) -> None:
    """The lock's own cuDNN decides or, without one, that there is any."""
    for runtime, finds, fits in (
        ("9.5.1", 90501, True),
        ("9.5.1", 90600, False),
        (None, 90600, True),
        (None, None, False),
    ):
        fake_target.paddle(finds=finds)
        later = replace(build, cudnn_built=None, cudnn_runtime=runtime)
        result = judge(fake_target, healthy, later, "libraries.cudnn", receipt=wheels)["libraries.cudnn"]
        assert (result.outcome == "passed") == fits, (runtime, finds)
