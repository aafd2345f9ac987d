"""Which lock is meant by --lock, --paddle and --device together."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoBuildFits, UsageError
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.choose import choose
from paddle_bootstrap.lock.model import Device
from tests.unit.lock.demo import write

CPU, GPU = "cpu-3_3_1", "gpu-2_6_2-cu118"


@pytest.mark.parametrize(
    ("wanted", "version", "device", "name"),
    [
        (None, None, None, GPU),
        (None, None, "cpu", CPU),
        (None, "2.6.2", None, GPU),
        (CPU, None, None, CPU),
        (CPU, "3.3.1", "cpu", CPU),
    ],
)
def test_the_lock_that_is_meant(wanted: str | None, version: str | None, device: Device | None, name: str) -> None:
    assert choose(wanted, version, device).name == name


def test_the_version_and_the_device_choose_the_lock() -> None:
    assert choose(None, None, "gpu").path == choose(None, "2.6.2", "gpu").path == pylock.find(GPU)
    assert choose(None, "3.3.1", "cpu").path == pylock.find(CPU)
    with pytest.raises(NoBuildFits) as caught:
        choose(None, "3.3.1", "gpu")
    assert str(caught.value) == "no shipped lock holds Paddle 3.3.1 for gpu"
    assert f"{GPU}: paddlepaddle-gpu 2.6.2, gpu" in caught.value.tried


@pytest.mark.parametrize(
    ("version", "device", "build", "told"),
    [
        ("3.3.1", "cpu", "cu126", "3.3.1 for cpu, build cu126"),
        (None, "gpu", "cu126", "of any version for gpu, build cu126"),
        (">=9", "cpu", None, ">=9 for cpu"),
    ],
)
def test_what_no_shipped_lock_holds(version: str | None, device: Device, build: str | None, told: str) -> None:
    with pytest.raises(NoBuildFits) as caught:
        choose(None, version, device, build)
    assert str(caught.value) == f"no shipped lock holds Paddle {told}"


def test_a_build_chooses_the_lock() -> None:
    assert choose(None, None, "gpu", "cu118").path == pylock.find(GPU)


@pytest.mark.parametrize(
    ("version", "device", "told"),
    [
        (None, "cpu", "holds a gpu build, but --device cpu was asked for"),
        ("2.0", "gpu", "holds Paddle 1.0, but --paddle 2.0 was asked for"),
    ],
)
def test_flags_that_contradict_the_lock(version: str | None, device: Device, told: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(UsageError) as caught:
        choose(str(path), version, device)
    assert str(caught.value) == f"--lock {path} {told}"
