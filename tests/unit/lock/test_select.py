"""What each Python gets from the shipped locks, and what is said to those that get nothing."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from paddle_bootstrap.errors import DamagedLock, NoBuildFits, UsageError
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock, Selection
from paddle_bootstrap.lock.resolving import tags_of
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import changed, write

CPU, GPU = "cpu-3_3_1", "gpu-2_6_2-cu118"
OLDER = ("cpu-3_0_0", "cpu-3_1_1", "cpu-3_2_2")
NEW = ("3.9", "3.10", "3.11", "3.12", "3.13")
PYTHONS = {
    CPU: NEW,
    GPU: ("3.8", "3.9", "3.10", "3.11", "3.12"),
    "cpu-3_0_0": ("3.8", *NEW),
    "cpu-3_1_1": NEW,
    "cpu-3_2_2": NEW,
}
ROWS = [
    # lock, python, wheels, of them NVIDIA's, versions that differ between Pythons
    (CPU, "3.9", 17, 0, {"numpy": "2.0.2", "networkx": "3.2.1", "exceptiongroup": "1.3.0"}),
    (CPU, "3.10", 17, 0, {"numpy": "2.2.6", "networkx": "3.4.2", "exceptiongroup": "1.3.0"}),
    (CPU, "3.11", 16, 0, {"numpy": "2.2.6", "networkx": "3.4.2"}),
    (CPU, "3.12", 16, 0, {"numpy": "2.2.6", "networkx": "3.4.2"}),
    (CPU, "3.13", 16, 0, {"numpy": "2.2.6", "networkx": "3.4.2"}),
    ("cpu-3_2_2", "3.11", 16, 0, {"numpy": "2.2.6", "networkx": "3.4.2", "safetensors": "0.6.2"}),
    ("cpu-3_1_1", "3.11", 15, 0, {"numpy": "2.2.6", "networkx": "3.4.2"}),
    ("cpu-3_0_0", "3.11", 17, 0, {"numpy": "2.2.6", "networkx": "3.4.2", "astor": "0.8.1"}),
    ("cpu-3_0_0", "3.8", 18, 0, {"numpy": "1.24.4", "setuptools": "75.3.2", "exceptiongroup": "1.3.0"}),
    (GPU, "3.8", 28, 11, {"numpy": "1.24.4", "pillow": "10.4.0", "setuptools": "75.3.2", "exceptiongroup": "1.3.0"}),
    (GPU, "3.9", 28, 11, {"numpy": "1.26.4", "pillow": "11.3.0", "setuptools": "75.8.0", "exceptiongroup": "1.3.0"}),
    (GPU, "3.10", 28, 11, {"numpy": "1.26.4", "pillow": "11.3.0", "setuptools": "75.8.0", "exceptiongroup": "1.3.0"}),
    (GPU, "3.11", 27, 11, {"numpy": "1.26.4", "pillow": "11.3.0", "setuptools": "75.8.0"}),
    (GPU, "3.12", 27, 11, {"numpy": "1.26.4", "pillow": "11.3.0", "setuptools": "75.8.0"}),
]
ALWAYS = {
    **{name: {"paddlepaddle": name.removeprefix("cpu-").replace("_", ".")} for name in OLDER},
    CPU: {"paddlepaddle": "3.3.1", "setuptools": "75.8.0", "protobuf": "6.33.2"},
    GPU: {"paddlepaddle-gpu": "2.6.2", "protobuf": "4.25.8"},
}


def shipped(name: str) -> Lock:
    return pylock.read(pylock.find(name))


def versions(selection: Selection) -> dict[str, str]:
    return {wheel.name: wheel.version for wheel in selection.wheels}


def test_exactly_these_locks_are_shipped() -> None:
    assert {pylock.name_of(path): pylock.pythons(pylock.read(path)) for path in pylock.shipped()} == PYTHONS


@pytest.mark.parametrize(("name", "python", "count", "nvidia", "differing"), ROWS)
def test_a_python_gets_its_wheels(name: str, python: str, count: int, nvidia: int, differing: dict[str, str]) -> None:
    lock = shipped(name)
    selection = pylock.select(lock, cpython(python))
    got = versions(selection)
    assert len(selection.wheels) == len(got) == count
    assert sum(package.startswith("nvidia-") for package in got) == nvidia
    assert {**ALWAYS[name], **differing}.items() <= got.items()
    assert ("exceptiongroup" in got) == (python in ("3.8", "3.9", "3.10"))
    assert all(wheel.pieces and wheel.size for wheel in selection.wheels)
    short = python.replace(".", "")
    assert lock.build is not None
    paddle = next(wheel for wheel in selection.wheels if wheel.name == lock.build.package)
    assert f"-cp{short}-cp{short}-" in paddle.filename


@pytest.mark.parametrize("python", PYTHONS[GPU])
def test_the_cuda_group_is_default_and_can_be_left_out(python: str) -> None:
    lock = shipped(GPU)
    everything = pylock.select(lock, cpython(python))
    without = pylock.select(lock, cpython(python), groups=())
    assert everything.groups == lock.default_groups == ("cuda",)
    assert versions(everything)["nvidia-cudnn-cu11"] == "8.9.6.50"
    assert not any(name.startswith("nvidia-") for name in versions(without))
    assert len(without.wheels) == len(everything.wheels) - 11


@pytest.mark.parametrize(("name", "glibc"), [(CPU, "2.28"), (GPU, "2.17"), *((name, "2.27") for name in OLDER)])
def test_the_oldest_host_gets_the_same_files_as_the_newest(name: str, glibc: str) -> None:
    for python in PYTHONS[name]:
        oldest, newest = (pylock.select(shipped(name), cpython(python, glibc=each)) for each in (glibc, "2.41"))
        assert oldest.wheels == newest.wheels


def test_a_real_interpreter_is_served() -> None:
    selection = pylock.select(shipped(CPU), dataclasses.replace(cpython("3.11"), tags=probe(sys.executable).tags))
    assert isinstance(selection, Selection)


def test_the_composer_ranks_wheels_as_an_installer_does() -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    tags = list(sys_tags())
    newest = max(int(tag.platform.split("_")[2]) for tag in tags if tag.platform.startswith("manylinux_2_"))
    assert tags_of(minor, f"2.{newest}") == tags


@pytest.mark.parametrize("absent", pylock.MARKERS)
def test_a_marker_that_is_not_told_is_an_error(absent: str) -> None:
    """packaging would fill it from the interpreter that runs this tool."""
    whole = cpython("3.11")
    markers = {name: value for name, value in whole.markers.items() if name != absent}
    with pytest.raises(NoBuildFits) as caught:
        pylock.select(shipped(CPU), dataclasses.replace(whole, markers=markers))
    assert str(caught.value) == f"/opt/python3.11/bin/python did not tell its markers {absent}"


UNSERVED = {
    "too old": (cpython("3.7"), "3.7.7"),
    "too new": (cpython("3.13"), "3.13.7"),
    "macOS": (cpython("3.11", sys_platform="darwin"), "on darwin x86_64"),
    "ARM": (cpython("3.11", platform_machine="aarch64"), "on linux aarch64"),
    "PyPy": (cpython("3.11", platform_python_implementation="PyPy"), "environments"),
    "old glibc": (cpython("3.11", glibc="2.12"), "No wheel found"),
}


@pytest.mark.parametrize("case", UNSERVED)
def test_who_is_not_served_reads_who_is(case: str) -> None:
    interpreter, told = UNSERVED[case]
    with pytest.raises(NoBuildFits) as caught:
        pylock.select(shipped(GPU), interpreter)
    assert caught.value.exit_code == 10
    assert told in str(caught.value)
    assert interpreter.path in str(caught.value)
    assert "this one serves CPython 3.8, 3.9, 3.10, 3.11, 3.12; glibc 2.17 or newer; hosts where" in caught.value.hint
    assert "x86_64" in caught.value.hint


def test_a_lock_of_another_platform_is_refused(tmp_path: Path) -> None:
    lock = pylock.read(write(tmp_path, changed("sys_platform == 'linux'", "sys_platform == 'win32'")))
    with pytest.raises(NoBuildFits) as caught:
        pylock.select(lock, cpython("3.11"))
    assert 'sys_platform == "win32"' in caught.value.hint


def test_a_lock_that_changes_in_use_is_refused(tmp_path: Path) -> None:
    lock = pylock.read(write(tmp_path))
    write(tmp_path, changed("2000", "2001"))
    with pytest.raises(DamagedLock) as caught:
        pylock.select(lock, cpython("3.11"))
    assert "was changed while it was in use" in str(caught.value)


def test_a_lock_is_found_by_name_or_path(tmp_path: Path) -> None:
    assert pylock.find(CPU).name == "pylock.cpu-3_3_1.toml"
    path = write(tmp_path)
    assert pylock.find(str(path)) == path
    with pytest.raises(UsageError) as caught:
        pylock.find("cpu-9_9")
    assert caught.value.tried == (
        f"a file {Path('cpu-9_9').absolute()}",
        *(f"shipped lock {name}" for name in sorted(PYTHONS)),
    )


@pytest.mark.parametrize(
    ("file", "name"), [("pylock.toml", "pylock"), ("pylock.a-1.toml", "a-1"), ("other.toml", "other"), ("x", "x")]
)
def test_a_lock_has_a_name(file: str, name: str) -> None:
    assert pylock.name_of(Path("folder", file)) == name


def test_the_build_of_the_gpu_lock_is_told() -> None:
    build = shipped(GPU).build
    assert build is not None
    assert (build.id, build.device, build.cuda, build.cudnn_runtime) == (GPU, "gpu", "11.8", "8.9.6")
    assert build.sass == (61, 70, 75, 80, 86)
    assert build.libraries is not None
    assert build.libraries.needs["libcudnn.so"] == "8"
