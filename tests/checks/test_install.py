"""Installations that are not what the lock says, each named, and one that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Wheel
from tests.checks import target as targets
from tests.checks.judging import Judged, fails, judge, passes
from tests.checks.target import FakeTarget

CHECKS = ("packages", "files", "single_paddle", "build")
Installed = tuple[FakeTarget, tuple[Wheel, ...]]


@pytest.fixture
def installed(fake_target: FakeTarget) -> Installed:
    """A GPU Paddle and one package that it needs."""
    wheels = (fake_target.paddle(), fake_target.distribution("Demo.Needed", "1.0", {"demo.py": "VALUE = 1\n"}))
    return fake_target, tuple(replace(wheel, name=wheel.name.lower().replace(".", "-")) for wheel in wheels)


@pytest.fixture
def verified(installed: Installed, healthy: HostFacts, gpu_build: Build) -> Callable[[], Judged]:
    return lambda: judge(installed[0], healthy, gpu_build, "install.", wheels=installed[1])


def info(target: FakeTarget, name: str) -> Path:
    return next(target.packages.glob(f"{name}-*.dist-info"))


def test_a_whole_installation_passes(verified: Callable[[], Judged]) -> None:
    results = verified()
    assert tuple(results) == tuple(f"install.{name}" for name in CHECKS)
    for result in results.values():
        passes(result)


def test_a_package_of_another_version(installed: Installed, verified: Callable[[], Judged]) -> None:
    folder = info(installed[0], "Demo.Needed")
    folder.rename(folder.with_name("Demo.Needed-2.0.dist-info"))
    fails(verified()["install.packages"], "1 of 2 packages are not the lock's", "demo-needed 2.0", "demo-needed 1.0")


def test_a_package_that_was_removed(installed: Installed, verified: Callable[[], Judged]) -> None:
    (info(installed[0], "Demo.Needed") / "RECORD").unlink()
    info(installed[0], "Demo.Needed").rmdir()
    results = verified()
    fails(results["install.packages"], "demo-needed missing", "pip installed or removed", "install --env DIR")
    fails(results["install.files"], "1 packages have no record", "demo-needed")


def test_a_package_that_is_there_in_two_versions(installed: Installed, verified: Callable[[], Judged]) -> None:
    installed[0].distribution("demo-needed", "0.9", {"demo.py": "VALUE = 1\n"})
    fails(verified()["install.packages"], "demo-needed 1.0 and 0.9")


def test_a_lock_without_packages(installed: Installed, healthy: HostFacts, gpu_build: Build) -> None:
    fails(judge(installed[0], healthy, gpu_build, "install.packages")["install.packages"], "names no package")


def test_a_file_that_was_cut_short(installed: Installed, verified: Callable[[], Judged]) -> None:
    installed[0].put("demo.py", "VALUE")
    fails(verified()["install.files"], "1 of 2 files", "demo.py: 5 bytes", "demo.py: 10 bytes", "a disk that was full")


def test_a_file_that_was_removed(installed: Installed, verified: Callable[[], Judged]) -> None:
    (installed[0].packages / "demo.py").unlink()
    fails(verified()["install.files"], "1 of 2 files", "demo.py: missing")


@pytest.mark.parametrize("content", [None, "", "demo.py\n"], ids=["none", "empty", "without sizes"])
def test_a_package_without_a_record(content: str | None, installed: Installed, verified: Callable[[], Judged]) -> None:
    """A record that lists nothing must not pass as one whose files are all right."""
    record = info(installed[0], "Demo.Needed") / "RECORD"
    record.unlink()
    if content is not None:
        record.write_text(content)
    fails(verified()["install.files"], "1 packages have no record of their files", "demo-needed")


def test_a_record_that_cannot_be_read(installed: Installed, verified: Callable[[], Judged]) -> None:
    (info(installed[0], "Demo.Needed") / "RECORD").write_text("demo.py,sha256=x,ten\n")
    result = verified()["install.files"]
    fails(result, "ten", "install --env DIR")
    assert result.cause == "raised"


def test_two_paddles(installed: Installed, verified: Callable[[], Judged]) -> None:
    """The second one's files lie over the first one's: pip is content, and no GPU is ever used."""
    installed[0].paddle("3.3.1", name="paddlepaddle", cuda="False")
    results = verified()
    fails(results["install.single_paddle"], "two Paddles", "paddlepaddle 3.3.1, paddlepaddle-gpu 2.6.2")
    fails(results["install.build"], "a CPU build stands where the GPU build should", "compiled_with_cuda False")


def test_no_paddle(fake_target: FakeTarget, healthy: HostFacts) -> None:
    """Judged without a lock: an environment that another tool made."""
    results = judge(fake_target, healthy, None, "install.")
    fails(results["install.single_paddle"], "no Paddle is installed here", "paddle-bootstrap install --env DIR")
    assert [results[f"install.{name}"].outcome for name in ("packages", "files", "build")] == ["skipped"] * 3
    assert "no receipt" in results["install.packages"].summary


@pytest.mark.parametrize(
    ("version", "cuda", "cudnn", "words"),
    [
        ("2.6.1", "11.8", "8.6.0", ["version 2.6.1", "version 2.6.2"]),
        ("2.6.2", "12.0", "8.6.0", ["cuda 12.0", "cuda 11.8"]),
        ("2.6.2", "11.8", "8.9.1", ["cudnn 8.9.1", "cudnn 8.6.0"]),
        ("2.6.2", "False", "False", ["compiled_with_cuda False", "a CPU build stands where"]),
    ],
)
def test_another_build(
    version: str, cuda: str, cudnn: str, words: list[str], installed: Installed, verified: Callable[[], Judged]
) -> None:
    installed[0].paddle(version, cuda=cuda, cudnn=cudnn)
    fails(verified()["install.build"], "the installed Paddle is not paddlepaddle-gpu 2.6.2", *words)


def test_a_gpu_build_where_the_lock_has_a_cpu_build(
    fake_target: FakeTarget, healthy: HostFacts, cpu_build: Build
) -> None:
    fake_target.paddle("3.3.1", name="paddlepaddle", cuda="11.8")
    fails(judge(fake_target, healthy, cpu_build, "install.build")["install.build"], "compiled_with_cuda True")


def test_a_paddle_that_cannot_be_imported(installed: Installed, verified: Callable[[], Judged]) -> None:
    installed[0].put("paddle/__init__.py", "raise ImportError('libgomp.so.1: cannot open shared object file')\n")
    result = verified()["install.build"]
    fails(result, "raised ImportError: libgomp.so.1", "install --env DIR")
    assert "paddle/__init__.py" in result.evidence["traceback"]


def test_a_lib64_that_is_a_link_to_lib(installed: Installed, verified: Callable[[], Judged]) -> None:
    """As Fedora's Python has it: the same folder twice on the way, and every package in it once."""
    link = installed[0].env / "lib64"
    if not link.is_symlink():
        link.symlink_to("lib")
    installed[0].put("as_on_fedora.pth", "import sys; sys.platlibdir = 'lib64'\n")
    for result in verified().values():
        passes(result)


def test_packages_of_the_system_behind_those_of_the_environment(
    tmp_path: Path, installed: Installed, verified: Callable[[], Judged]
) -> None:
    """What an environment with system packages hides is no second version, and no second Paddle."""
    behind = targets.make(tmp_path / "behind")
    behind.distribution("demo-needed", "0.9", {"demo.py": ""})
    behind.paddle("3.3.1", name="paddlepaddle", cuda="False")
    code = (
        f"import site\nown = site.getsitepackages()\nsite.getsitepackages = lambda: [*own, {str(behind.packages)!r}]\n"
    )
    installed[0].put("sitecustomize.py", code)
    for result in verified().values():
        passes(result)


def test_what_a_composed_lock_does_not_know_is_not_compared(
    installed: Installed, healthy: HostFacts, gpu_build: Build
) -> None:
    installed[0].paddle("2.6.2", cuda="11.8", cudnn="8.9.7")
    for build, outcome in ((replace(gpu_build, cudnn_built=None), "passed"), (gpu_build, "failed")):
        judged = judge(installed[0], healthy, build, "install.build", wheels=installed[1])
        assert judged["install.build"].outcome == outcome
