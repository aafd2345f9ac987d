"""Which lock is meant by --lock, --paddle and --device together."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.errors import UsageError
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
