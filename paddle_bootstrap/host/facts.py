"""What is known of this host, as data. A value that could not be read is ``Unknown`` with its reason, never a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that could not be read, and why. ``code``: what NVML returned, where it was NVML that refused."""

    reason: str
    code: int | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class Unsupported(Unknown):
    """This GPU or this driver has no such thing: nothing that could be wrong."""


@dataclass(frozen=True)
class Abandoned(Unknown):
    """Not asked any more, because of something else that failed; that one is told where it was asked."""


@dataclass(frozen=True)
class Late(Unknown):
    """NVML did not answer in time. Whoever asks the same again, or loads the GPU, may wait for as long."""


NOT_READ = Unknown("it was not read")


@dataclass(frozen=True)
class Gpu:
    """One GPU as NVML shows it. ``pci_address`` is lower case with a four-digit domain: ``0000:3b:00.0``."""

    index: int
    uuid: str | Unknown
    pci_address: str | Unknown
    name: str | Unknown
    compute_capability: tuple[int, int] | Unknown
    memory_bytes: int | Unknown
    mig: bool | Unknown


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver: its kernel module and its user library are two things and can disagree."""

    kernel_module: str | Unknown  # "535.104.05", from /proc/driver/nvidia/version or /sys/module/nvidia/version
    library: str | Unknown  # what libnvidia-ml.so.1 says of itself
    cuda_version: tuple[int, int] | Unknown  # highest CUDA API the driver serves
    nvml_code: int | None  # the NVML return code when initialisation failed, else None


@dataclass(frozen=True)
class DeviceNode:
    """One of /dev/nvidia*. ``problem`` says why it cannot be opened for reading and writing; None when it can."""

    path: str
    problem: str | None


@dataclass(frozen=True)
class FileSystem:
    """The file system that holds the path used for ``role`` (store, target, temporary, shm)."""

    role: str
    path: str
    device: int | Unknown  # st_dev: equal numbers share their free space
    kind: str | Unknown  # ext4, overlay, nfs4 ...
    free_bytes: int | Unknown  # for an unprivileged user
    total_bytes: int | Unknown


@dataclass(frozen=True)
class KernelLine:
    """One line of the kernel's log."""

    seconds: float  # after boot
    text: str


@dataclass(frozen=True)
class StuckProcess:
    """A process that waits in the kernel (state D) and uses the GPU driver."""

    pid: int
    name: str
    holds: tuple[str, ...]  # /dev/nvidia0 ...; none: it is known by its name


@dataclass(frozen=True)
class HostFacts:
    """Everything read of one host."""

    hostname: str
    os: str | Unknown
    kernel: str
    machine: str
    glibc: str | Unknown  # "2.36"
    glibcxx: str | Unknown  # highest GLIBCXX_ symbol version of libstdc++.so.6: "3.4.30"
    cpu: str | Unknown
    cpu_flags: tuple[str, ...] | Unknown  # sorted
    memory_bytes: int | Unknown
    filesystems: tuple[FileSystem, ...]
    container: str | Unknown | None  # "docker", "kubernetes", "podman" ...; None: not in one
    driver: Driver
    gpus: tuple[Gpu, ...] | Unknown  # as NVML lists them
    pci_gpus: tuple[str, ...] | Unknown  # PCI addresses of NVIDIA display controllers on the bus
    device_nodes: tuple[DeviceNode, ...]
    visible_devices: str | None  # CUDA_VISIBLE_DEVICES as set for this run
    pynvml_problem: str | None  # another distribution shadows the module, or it is too old
    kernel_log: tuple[KernelLine, ...] | Unknown = field(default=NOT_READ, metadata={"told": False})  # oldest first
    kernel_log_source: str = ""
    kernel_log_begins: float = 0.0  # seconds after boot from which on the log is whole
    uptime: float | Unknown = NOT_READ  # seconds since boot
    accepted: float | None = None  # seconds after boot at which a run accepted this host last; None: not since boot
    wsl: bool = False  # Linux under Windows: the driver is Windows', and Linux has its library alone
    stuck: tuple[StuckProcess, ...] | Unknown = NOT_READ
    variables: Mapping[str, str] = field(default_factory=dict)  # of this run, those that GPU programs obey

    def filesystem(self, role: str) -> FileSystem | None:
        """The file system used for ``role``, or None when that role was not asked about."""
        return next((fs for fs in self.filesystems if fs.role == role), None)


def to_json(value: Any) -> Any:
    """``value`` as plain JSON data; an ``Unknown`` becomes ``{"unknown": reason}``; the kernel's log is not told."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if is_dataclass(value) and not isinstance(value, type):
        named = [(field.name, getattr(value, field.name), field.metadata.get("told", True)) for field in fields(value)]
        return {name: to_json(item) for name, item, told in named if told or isinstance(item, Unknown)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value
