"""Readers of /proc, /sys, /etc and /dev below a root. Each returns a value, or ``Unknown`` with the reason."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.host.facts import DeviceNode, FileSystem, Unknown

_NVIDIA = "0x10de"
_DISPLAY = ("0x0300", "0x0302")  # VGA and 3D controllers, the first four digits of a PCI class
_LIBSTDCXX = ("usr/lib/x86_64-linux-gnu", "usr/lib64", "lib/x86_64-linux-gnu", "lib64", "usr/lib")
_LIBC = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib")


def text(path: Path) -> str | Unknown:
    """What ``path`` holds."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Unknown(f"{path}: {error.strerror}")


def os_name(root: Path) -> str | Unknown:
    found = text(root / "etc/os-release")
    if isinstance(found, Unknown):
        return found
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?', found, re.MULTILINE)
    return match[1] if match else Unknown(f"{root / 'etc/os-release'} has no PRETTY_NAME")


def glibc(root: Path) -> str | Unknown:
    """The version that libc.so.6 itself states."""
    return _stated(root, _LIBC, "libc.so.6", rb"GNU C Library [^\n]*version (\d+\.\d+)")


def glibcxx(root: Path) -> str | Unknown:
    """The highest GLIBCXX symbol version of libstdc++.so.6."""
    return _stated(root, _LIBSTDCXX, "libstdc++.so.6", rb"GLIBCXX_(3\.4\.\d+)\0")


def _stated(root: Path, folders: tuple[str, ...], name: str, pattern: bytes) -> str | Unknown:
    for folder in folders:
        path = root / folder / name
        try:
            found = re.findall(pattern, path.read_bytes())
        except OSError:
            continue
        if found:
            return max((item.decode() for item in found), key=lambda item: [int(part) for part in item.split(".")])
        return Unknown(f"{path} does not state its version")
    return Unknown(f"{name} was not found in {', '.join(str(root / folder) for folder in folders)}")


def cpu(root: Path) -> tuple[str | Unknown, tuple[str, ...] | Unknown]:
    """Model name and sorted flags of the first processor."""
    found = text(root / "proc/cpuinfo")
    if isinstance(found, Unknown):
        return found, found
    model = re.search(r"^model name\s*: (.+)$", found, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", found, re.MULTILINE)
    missing = Unknown(f"{root / 'proc/cpuinfo'} does not say")
    return model[1] if model else missing, tuple(sorted(flags[1].split())) if flags else missing


def memory(root: Path) -> int | Unknown:
    """Bytes this process may use: the host's memory, or the control group's limit when that is lower."""
    found = text(root / "proc/meminfo")
    if isinstance(found, Unknown):
        return found
    match = re.search(r"^MemTotal:\s+(\d+) kB", found, re.MULTILINE)
    if not match:
        return Unknown(f"{root / 'proc/meminfo'} has no MemTotal")
    total = int(match[1]) * 1024
    for path in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = text(root / path)
        if isinstance(limit, str) and limit.strip().isdigit():
            return min(total, int(limit))
    return total


def container(root: Path, environ: Mapping[str, str]) -> str | None:
    """What kind of container this is; None: none that leaves a trace."""
    if environ.get("KUBERNETES_SERVICE_HOST") or (root / "var/run/secrets/kubernetes.io").exists():
        return "kubernetes"
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    found = text(root / "proc/1/cgroup")
    for kind in ("docker", "lxc", "kubepods", "containerd"):
        if isinstance(found, str) and f"/{kind}" in found:
            return "kubernetes" if kind == "kubepods" else kind
    return environ.get("container") or None


def kernel_module(root: Path) -> str | Unknown:
    """The version of the loaded NVIDIA kernel module."""
    found = text(root / "proc/driver/nvidia/version")
    if isinstance(found, str):
        match = re.search(r"NVRM version:.*?(\d{3,}\.\d+(?:\.\d+)*)", found)
        if match:
            return match[1]
    found = text(root / "sys/module/nvidia/version")
    if isinstance(found, str) and found.strip():
        return found.strip()
    return Unknown(f"neither {root / 'proc/driver/nvidia/version'} nor {root / 'sys/module/nvidia/version'} is there")


def pci_gpus(root: Path) -> tuple[str, ...] | Unknown:
    """Addresses of NVIDIA display controllers on the PCI bus."""
    folder = root / "sys/bus/pci/devices"
    try:
        devices = sorted(folder.iterdir())
    except OSError as error:
        return Unknown(f"{folder}: {error.strerror}")
    return tuple(device.name.lower() for device in devices if _is_gpu(device))


def _is_gpu(device: Path) -> bool:
    vendor, kind = text(device / "vendor"), text(device / "class")
    return isinstance(vendor, str) and vendor.strip() == _NVIDIA and isinstance(kind, str) and kind.startswith(_DISPLAY)


def device_nodes(root: Path) -> tuple[DeviceNode, ...]:
    """/dev/nvidiactl, /dev/nvidia-uvm and one for each GPU, with what is wrong with each."""
    names = ["nvidiactl", "nvidia-uvm"]
    try:
        names += sorted((path.name for path in (root / "dev").iterdir() if re.fullmatch(r"nvidia\d+", path.name)), key=len)
    except OSError:
        pass
    return tuple(DeviceNode(f"/dev/{name}", _problem(root / "dev" / name)) for name in names)


def _problem(path: Path) -> str | None:
    try:
        told = path.stat()
    except OSError as error:
        return str(error.strerror)
    if not os.access(path, os.R_OK | os.W_OK):
        return f"mode {stat.filemode(told.st_mode)}, owner {told.st_uid}:{told.st_gid}: not readable and writable for this user"
    return None


def filesystem(role: str, path: Path, root: Path) -> FileSystem:
    """The file system that holds ``path``, or the nearest parent that exists."""
    nearest = path.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    try:
        room, device = os.statvfs(nearest), nearest.stat().st_dev
    except OSError as error:
        reason = Unknown(f"{nearest}: {error.strerror}")
        return FileSystem(role, str(path), reason, reason, reason, reason)
    kind = _kind(nearest.resolve(), root)
    return FileSystem(role, str(path), device, kind, room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)


def _kind(path: Path, root: Path) -> str | Unknown:
    mounts = text(Path("/proc/self/mounts"))
    if isinstance(mounts, Unknown):
        return mounts
    rows = [line.split() for line in mounts.splitlines()]
    holding = [row for row in rows if path.is_relative_to(row[1].replace("\\040", " "))]
    return max(holding, key=lambda row: len(row[1]))[2] if holding else Unknown(f"no mount holds {path}")
