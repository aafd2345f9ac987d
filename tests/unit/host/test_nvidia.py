"""What the kernel shows of NVIDIA below a root: the module, the bus, the device nodes."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import DeviceNode, Unknown
from paddle_bootstrap.host.nvidia import device_nodes, kernel_module, pci_gpus

Put = Callable[[str, "str | bytes"], Path]
PROC, SYS = "proc/driver/nvidia/version", "sys/module/nvidia/version"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@x)\n"
GCC = "GCC version:  gcc version 912.2.0\n"


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (PROC, CLOSED + GCC, "535.104.05"),
        (PROC, OPEN + GCC, "570.86.15"),
        (SYS, "450.80.02\n", "450.80.02"),
    ],
)
def test_kernel_module(put: Put, path: str, content: str, expected: str) -> None:
    assert kernel_module(put(path, content)) == expected


def test_no_kernel_module(tmp_path: Path) -> None:
    assert kernel_module(tmp_path) == Unknown(f"not loaded: there is no {tmp_path}/{PROC}")


def test_nouveau_is_named(tmp_path: Path) -> None:
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    found = kernel_module(tmp_path)
    assert isinstance(found, Unknown)
    assert found.reason.endswith("; the nouveau driver is loaded instead")


def test_garbage_is_no_version(put: Put, tmp_path: Path) -> None:
    put(PROC, "GCC version: 535.104.05\n")
    put(SYS, "latest\n")
    assert kernel_module(tmp_path) == Unknown(
        f"{tmp_path}/{PROC} holds no version: 'GCC version: 535.104.05'; {tmp_path}/{SYS} holds no version: 'latest'"
    )


def device(put: Put, address: str, vendor: str, kind: str) -> None:
    put(f"sys/bus/pci/devices/{address}/vendor", f"{vendor}\n")
    put(f"sys/bus/pci/devices/{address}/class", f"{kind}\n")


def test_pci_gpus(put: Put, tmp_path: Path) -> None:
    device(put, "0000:3B:00.0", "0x10de", "0x030200")
    device(put, "0000:18:00.0", "0x10de", "0x030000")
    device(put, "0000:18:00.1", "0x10de", "0x040300")  # a graphics card's sound
    device(put, "0000:00:1f.0", "0x8086", "0x030000")  # another vendor's
    device(put, "0000:3b:00.4", "0x10de", "0x030200")
    (tmp_path / "sys/bus/pci/devices/0000:3b:00.4/physfn").mkdir()  # a virtual function
    assert pci_gpus(tmp_path) == ("0000:18:00.0", "0000:3b:00.0")


def test_links_of_the_bus_stay_below_the_root(put: Put, tmp_path: Path) -> None:
    """The kernel has each device as a link into /sys/devices."""
    put("sys/devices/pci0000:00/0000:3b:00.0/vendor", "0x10de\n")
    put("sys/devices/pci0000:00/0000:3b:00.0/class", "0x030200\n")
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:3b:00.0").symlink_to("../../../devices/pci0000:00/0000:3b:00.0")
    assert pci_gpus(tmp_path) == ("0000:3b:00.0",)


def test_a_bus_without_gpus(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    assert pci_gpus(tmp_path) == ()


def test_no_bus(put: Put, tmp_path: Path) -> None:
    assert pci_gpus(tmp_path) == Unknown(f"{tmp_path}/sys/bus/pci/devices: No such file or directory")
    put("sys/bus/pci/devices/0000:3b:00.0/class", "0x030200\n")
    expected = f"{tmp_path}/sys/bus/pci/devices/0000:3b:00.0/vendor: No such file or directory"
    assert pci_gpus(tmp_path) == Unknown(expected)


def test_device_nodes(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvidiactl", "nvidia10", "nvidia2", "nvidia-modeset", "nvidia2x"):
        (tmp_path / "dev" / name).symlink_to("/dev/null")
    assert device_nodes(tmp_path) == (
        DeviceNode("/dev/nvidiactl", None),
        DeviceNode("/dev/nvidia-uvm", "No such file or directory"),
        DeviceNode("/dev/nvidia2", None),
        DeviceNode("/dev/nvidia10", None),
    )


def test_a_file_is_no_device(put: Put) -> None:
    first, _ = device_nodes(put("dev/nvidiactl", ""))
    assert first.problem is not None
    assert first.problem.startswith("is not a character device (-rw")


@contextlib.contextmanager
def closed_to_us(node: Path) -> Iterator[None]:
    """``node`` is a character device that this user may not open; root makes one and becomes another user for the while."""
    if os.geteuid() == 0:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    closed = [
        path for path in (Path("/dev/console"), Path("/dev/mem")) if path.exists() and not os.access(path, os.R_OK)
    ]
    if not closed:
        pytest.skip("this user may open every device there is")
    node.symlink_to(closed[0])
    yield


def test_a_device_of_somebody_else() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)  # pytest's own folders are closed to other users
        (root / "dev").mkdir()
        with closed_to_us(root / "dev/nvidiactl"):
            first, _ = device_nodes(root)
    assert first.problem is not None
    assert re.fullmatch(r"mode crw\S*, owner 0:\d+: user \d+ may not read and write it", first.problem)


def test_no_dev(tmp_path: Path) -> None:
    missing = "No such file or directory"
    assert device_nodes(tmp_path) == (DeviceNode("/dev/nvidiactl", missing), DeviceNode("/dev/nvidia-uvm", missing))
