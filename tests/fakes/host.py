"""One description of a host, rendered for every reader at once: NVML, the PCI bus, /proc, /dev, and the CUDA driver."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fakes.libraries import fake_cuda, fake_nvml, not_installed

ELF64 = "\x7fELF\x02"


@dataclass(frozen=True)
class FakeGpu:
    name: str = "NVIDIA A100-SXM4-80GB"
    capability: str = "8.0"
    memory: int = 85_899_345_920
    faults: dict[str, str] = field(default_factory=dict)  # NVML key -> value, for example {"memory": "!15"}


H100 = FakeGpu("NVIDIA H100 80GB HBM3", "9.0", 85_520_809_984)
A100 = FakeGpu()


@dataclass(frozen=True)
class FakeHost:
    """A host as its files and driver libraries show it. ``lost``: GPUs on the bus that the driver does not list."""

    gpus: tuple[FakeGpu, ...] = (A100,)
    driver: str | None = "535.104.05"  # the kernel module; None: not loaded
    library: str | None = None  # the NVML library's version; None: the same
    cuda: int = 12020
    lost: tuple[int, ...] = ()
    system: dict[str, str] = field(default_factory=dict)  # more rows for the NVML configuration
    cuda_init: int = 0

    def with_system(self, **rows: str) -> FakeHost:
        return replace(self, system={**self.system, **rows})

    def uuid(self, index: int) -> str:
        return f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{index}.fake')}"

    def address(self, index: int) -> str:
        return f"0000:{0x10 + index:02x}:00.0"

    def write(self, folder: Path) -> dict[str, str]:
        """Write the host below ``folder``; returns what a process needs in its environment to see that host."""
        root = folder / "rootfs"
        self._files(root)
        conf = folder / "nvml.conf"
        rows = "".join(f"{key} = {value}\n" for key, value in self._nvml().items())
        conf.write_bytes(rows.encode("utf-8", "surrogateescape"))
        listed = [index for index in range(len(self.gpus)) if index not in self.lost]
        return {
            "PADDLE_BOOTSTRAP_ROOTFS": str(root),
            "LD_LIBRARY_PATH": str(self._driver_libraries(folder / "lib")),
            "FAKE_NVML_CONF": str(conf),
            "FAKE_CUDA_INIT": str(self.cuda_init),
            "FAKE_CUDA_VERSION": str(self.cuda),
            "FAKE_CUDA_COUNT": str(len(listed)),
            "FAKE_CUDA_UUIDS": ",".join(self.uuid(index) for index in listed),
        }

    def _driver_libraries(self, folder: Path) -> Path:
        """As a driver installs them: the version is in the file's name, the SONAME is a link to it."""
        folder.mkdir()
        version = self.library or self.driver
        names = ("libnvidia-ml.so.1", "libcuda.so.1")
        for library in (fake_nvml(driver=version), fake_cuda()) if version else map(not_installed, names):
            named = folder / library.name.replace(".so.1", f".so.{version or 'none'}")
            shutil.copyfile(library, named)
            (folder / library.name).symlink_to(named.name)
        return folder

    def _nvml(self) -> dict[str, str]:
        listed = [(index, gpu) for index, gpu in enumerate(self.gpus) if index not in self.lost]
        rows = {
            "sys.driver": self.library or self.driver or "0",
            "sys.cuda": str(self.cuda),
            "sys.count": str(len(listed)),
        }
        for number, (index, gpu) in enumerate(listed):
            told = {
                "name": gpu.name,
                "uuid": self.uuid(index),
                "pci": self.address(index),
                "capability": gpu.capability,
            }
            told |= {"memory": str(gpu.memory), "mig": "0", **gpu.faults}
            rows |= {f"gpu{number}.{key}": value for key, value in told.items()}
        return {**rows, **{f"sys.{key}": value for key, value in self.system.items()}}

    def _files(self, root: Path) -> None:
        def write(path: str, text: str) -> None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="latin-1")

        write("etc/os-release", 'PRETTY_NAME="Fake Linux 1"\n')
        write("etc/hostname", "fake-host\n")
        write("proc/self/cgroup", "0::/user.slice\n")
        write("proc/meminfo", "MemTotal:       263842560 kB\n")
        write("proc/cpuinfo", "model name\t: Fake CPU\nflags\t\t: fpu sse avx avx2\n")
        write("lib/x86_64-linux-gnu/libc.so.6", f"{ELF64}GNU C Library (Fake) stable release version 2.35.\n")
        write("usr/lib/x86_64-linux-gnu/libstdc++.so.6", f"{ELF64}GLIBCXX_3.4.9\0GLIBCXX_3.4.30\0")
        (root / "dev/shm").mkdir(parents=True)
        (root / "sys/bus/pci/devices").mkdir(parents=True)
        for index in range(len(self.gpus)):
            write(f"sys/bus/pci/devices/{self.address(index)}/vendor", "0x10de\n")
            write(f"sys/bus/pci/devices/{self.address(index)}/class", "0x030200\n")
        if self.driver:
            write(
                "proc/driver/nvidia/version",
                f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {self.driver}  Wed Aug 16 2023\n",
            )
            for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{index}" for index in range(len(self.gpus)))):
                (root / "dev" / name).symlink_to("/dev/null")  # a character device that needs no root to make


NO_GPU = FakeHost(gpus=(), driver=None)
