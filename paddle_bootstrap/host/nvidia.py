"""What the kernel shows of NVIDIA: its module, the PCI bus, the device nodes. None of this touches the driver itself."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from paddle_bootstrap.host.facts import DeviceNode, Unknown
from paddle_bootstrap.host.rootfs import exists, inside, text

_VENDOR = "0x10de"  # pci-ids: NVIDIA Corporation
_DISPLAY = ("0x0300", "0x0302")  # PCI classes of VGA and 3D controllers
_VERSION = r"\b(\d{3,4}(?:\.\d+){1,3})\b"


def kernel_module(root: Path) -> str | Unknown:
    """The version of the loaded NVIDIA kernel module, the proprietary one or the open one."""
    told = text(root, "proc/driver/nvidia/version")
    if isinstance(told, str):
        line = next((line for line in told.splitlines() if line.startswith("NVRM version:")), "")
        match = re.search(_VERSION, line)
        if match:
            return match[1]
    module = text(root, "sys/module/nvidia/version")
    if isinstance(module, str) and re.fullmatch(_VERSION, module.strip()):
        return module.strip()
    if not exists(root, "proc/driver/nvidia/version") and not exists(root, "sys/module/nvidia/version"):
        other = "; the nouveau driver is loaded instead" if exists(root, "sys/module/nouveau") else ""
        return Unknown(f"not loaded: there is no {root / 'proc/driver/nvidia/version'}{other}")
    reasons = [
        reading.reason if isinstance(reading, Unknown) else f"{root / path} holds no version: {reading.strip()[:80]!r}"
        for path, reading in (("proc/driver/nvidia/version", told), ("sys/module/nvidia/version", module))
    ]
    return Unknown("; ".join(reasons))


def pci_gpus(root: Path) -> tuple[str, ...] | Unknown:
    """Addresses of NVIDIA's display controllers on the PCI bus, in order; virtual functions are not GPUs of their own."""
    folder = "sys/bus/pci/devices"
    try:
        names = sorted(entry.name for entry in inside(root, folder).iterdir())
    except OSError as error:
        return Unknown(f"{root / folder}: {error.strerror}")
    found: list[str] = []
    for name in names:
        vendor, kind = (text(root, f"{folder}/{name}/{entry}") for entry in ("vendor", "class"))
        if isinstance(vendor, Unknown):
            return vendor
        if vendor.strip() != _VENDOR:
            continue
        if isinstance(kind, Unknown):
            return kind
        if kind.startswith(_DISPLAY) and not exists(root, f"{folder}/{name}/physfn"):
            found.append(name.lower())
    return tuple(found)


def device_nodes(root: Path) -> tuple[DeviceNode, ...]:
    """/dev/nvidiactl, /dev/nvidia-uvm and every /dev/nvidiaN there is, with what is wrong with each."""
    try:
        names = [entry.name for entry in inside(root, "dev").iterdir()]
    except OSError:  # then nvidiactl cannot be found either, and says so
        names = []
    numbers = sorted(int(name[6:]) for name in names if re.fullmatch(r"nvidia\d+", name))
    wanted = ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in numbers))
    return tuple(DeviceNode(f"/dev/{name}", _problem(root / "dev" / name)) for name in wanted)


def _problem(path: Path) -> str | None:
    """Why ``path`` cannot be used. It is not opened: that would wake the GPU, and hang where the driver is stuck."""
    try:
        told = path.stat()
    except OSError as error:
        return str(error.strerror)
    if not stat.S_ISCHR(told.st_mode):
        return f"is not a character device ({stat.filemode(told.st_mode)})"
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        mode = stat.filemode(told.st_mode)
        return f"mode {mode}, owner {told.st_uid}:{told.st_gid}: user {os.geteuid()} may not read and write it"
    return None
