"""One description of a host, rendered for every reader at once: NVML, the PCI bus, /proc, /dev, the kernel's log, CUDA."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fakes import description, rootfs
from tests.fakes.libraries import fake_cuda, fake_nvml, not_installed

DESCRIBED = Path(__file__).with_name("described")


@dataclass(frozen=True)
class FakeGpu:
    """``told``: rows of the NVML configuration. ``faults``: more of them, which hold instead."""

    name: str = "NVIDIA A100-SXM4-80GB"
    capability: str = "8.0"
    memory: int | None = 85_899_345_920  # None: ``told`` has it
    faults: dict[str, str] = field(default_factory=dict)  # NVML key -> value, for example {"memory": "!15"}
    told: dict[str, str] = field(default_factory=dict)

    def rows(self, uuid: str, address: str) -> dict[str, str]:
        """What NVML tells of it. A fault of a whole reading hides its parts."""
        own = {"uuid": uuid, "pci": address, "name": self.name, "capability": self.capability}
        own |= {} if self.memory is None else {"memory": str(self.memory)}
        return {**({} if self.told else {"mig": "0"}), **self.told, **own, **self.faults}


def _healthy(name: str, capability: str, memory: int, host: str) -> FakeGpu:
    """One that tells what the first GPU of a described host does, but for what no two cards have in common."""
    _, (rows, *_) = description.read(DESCRIBED / f"{host}.toml")
    return FakeGpu(name, capability, memory, told={key: rows[key] for key in rows if key not in ("minor", "serial")})


H100 = _healthy("NVIDIA H100 80GB HBM3", "9.0", 85_520_809_984, "h100-x8")
A100 = _healthy("NVIDIA A100-SXM4-80GB", "8.0", 85_899_345_920, "a100-x8")


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
    cuda_rows: dict[str, str] = field(default_factory=dict)  # for FAKE_CUDA_CONF: {"dev0.flip_product": "3"}
    environ: dict[str, str] = field(default_factory=dict)  # of the processes that see this host
    container: str | None = None
    wsl: bool = False  # Linux under Windows: of the driver there is only the library
    bus_only: tuple[str, ...] = ()  # addresses of GPUs that this container was not given
    pci_class: str = "0x030200"  # 0x030000: it has outputs for displays
    pci: dict[str, str] = field(default_factory=dict)  # "3.current_link_width" -> what that file of GPU 3 says
    log: tuple[tuple[float, str], ...] = ()  # seconds since boot, and the kernel's words
    readable_log: bool = True
    files: dict[str, str] = field(default_factory=dict)  # below its root: "proc/4242/status" -> what it holds
    uptime: float = 86400.0

    @classmethod
    def from_file(cls, path: Path) -> FakeHost:
        """A described host, or a recorded one: see ``description``."""
        told, cards = description.read(path)
        gpus = tuple(FakeGpu(rows.get("name", ""), rows.get("capability", ""), None, {}, rows) for rows in cards)
        more: dict[str, Any] = dict(told["system"])
        more["bus_only"] = tuple(more.get("bus_only", ()))
        more.setdefault("driver", None)
        return cls(gpus=gpus, log=tuple((seconds, line) for seconds, line in told.get("log", ())), **more)

    def with_system(self, **rows: str) -> FakeHost:
        return replace(self, system={**self.system, **rows})

    def with_fault(self, key: str, value: str) -> FakeHost:
        """The same host with something else than was described.

        ``gpu3.rows.pending`` (``gpu.``: of each), ``sys.init`` (NVML), ``pci.3.current_link_width``, ``cuda.dev3.flip_product``,
        ``env.NCCL_DEBUG``, ``file.etc/passwd`` (``\\n`` ends a line), ``log`` and ``log.3600`` (one
        more line, so many seconds after boot), or a field of this class.
        """
        where, _, rest = key.partition(".")
        if where.startswith("gpu"):
            return self._with_gpu_fault(where[3:], rest, value)
        if where == "log" and value == "none":
            return replace(self, readable_log=False)
        if where == "log":
            return replace(self, log=(*self.log, (float(rest or 3600), value)))
        boxes = {"sys": "system", "pci": "pci", "cuda": "cuda_rows", "env": "environ", "file": "files"}
        if where in boxes:
            return replace(self, **{boxes[where]: {**getattr(self, boxes[where]), rest: value}})
        kind = type(getattr(self, where))
        return replace(self, **{where: _field(kind, value)})

    def _with_gpu_fault(self, number: str, key: str, value: str) -> FakeHost:
        name, dot, part = key.partition(".")
        key = description.NAMES.get(name, name) + dot + part
        chosen = [int(number)] if number else list(range(len(self.gpus)))
        gpus = [
            replace(gpu, faults={**gpu.faults, key: value}) if index in chosen else gpu
            for index, gpu in enumerate(self.gpus)
        ]
        assert not chosen or max(chosen) < len(gpus), f"there is no gpu{number}"
        return replace(self, gpus=tuple(gpus))

    def rows(self, index: int) -> dict[str, str]:
        """What NVML tells of one GPU."""
        told = self.gpus[index].told
        return self.gpus[index].rows(told.get("uuid", _uuid(index)), told.get("pci", f"0000:{0x10 + index:02x}:00.0"))

    def uuid(self, index: int) -> str:
        return self.rows(index)["uuid"]

    def address(self, index: int) -> str:
        return self.gpus[index].told.get("pci", f"0000:{0x10 + index:02x}:00.0").lower()

    def write(self, folder: Path) -> dict[str, str]:
        """Write the host below ``folder``; returns what a process needs in its environment to see that host."""
        root = folder / "rootfs"
        rootfs.write(self, root)
        conf = folder / "nvml.conf"
        rows = "".join(f"{key} = {value}\n" for key, value in self._nvml().items())
        conf.write_bytes(rows.encode("utf-8", "surrogateescape"))
        (folder / "nvml.conf.reads").mkdir()
        listed = self._listed()
        cuda = {**self._between(listed), **self.cuda_rows}
        (folder / "cuda.conf").write_text("".join(f"{key} = {value}\n" for key, value in cuda.items()))
        return {
            "PADDLE_BOOTSTRAP_ROOTFS": str(root),
            "LD_LIBRARY_PATH": str(self._driver_libraries(folder / "lib")),
            "FAKE_NVML_CONF": str(conf),
            "FAKE_CUDA_INIT": str(self.cuda_init),
            "FAKE_CUDA_VERSION": str(self.cuda),
            "FAKE_CUDA_COUNT": str(len(listed)),
            "FAKE_CUDA_UUIDS": ",".join(self.uuid(index) for index in listed),
            "FAKE_CUDA_ADDRESSES": ",".join(self.address(index) for index in listed),
            "FAKE_CUDA_CONF": str(folder / "cuda.conf"),
            **self.environ,
        }

    def _between(self, listed: list[int]) -> dict[str, str]:
        """What CUDA tells of the ways between GPUs, as NVML does: a status towards another one that is not 0 is no way."""
        rows = {}
        for number, index in enumerate(listed):
            told = self.rows(index)
            if "true" in (value for key, value in told.items() if key.startswith("nvlinks.")):
                rows[f"dev{number}.nvlink"] = "1"
            for other in range(len(listed)):
                if other != number and told.get(f"peers.{other}", "0") != "0":
                    rows[f"dev{number}.access.peer{other}"] = "0"
        return rows

    def _listed(self) -> list[int]:
        return [index for index in range(len(self.gpus)) if index not in self.lost]

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
        listed = self._listed()
        rows = {
            "sys.driver": self.library or self.driver or "0",
            "sys.cuda": str(self.cuda),
            "sys.count": str(len(listed)),
        }
        for number, index in enumerate(listed):
            rows |= {f"gpu{number}.{key}": value for key, value in self.rows(index).items()}
        return {**rows, **{f"sys.{key}": value for key, value in self.system.items()}}


def _uuid(index: int) -> str:
    return f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{index}.fake')}"


def _field(kind: type, value: str) -> Any:
    if kind is tuple:
        return tuple(int(part) if part.isdigit() else part for part in value.split(",") if part)
    if kind is bool:
        return value == "true"
    if kind in (int, float):
        return kind(value)
    return None if value == "none" else value


NO_GPU = FakeHost(gpus=(), driver=None)
