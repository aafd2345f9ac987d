"""The files of a fake host: what a process finds below / on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.description import plain

if TYPE_CHECKING:
    from tests.fakes.host import FakeHost

ELF64 = "\x7fELF\x02"
SPEED = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0", 6: "64.0"}  # GT/s of a lane, by PCI generation
BOOT = (  # what every kernel says; the driver's line comes with the driver
    "Linux version 5.15.0 (fake)",
    "Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1",
    "pci 0000:00:00.0: [8086:09a2] type 00 class 0x088000",
)
CONTAINER = {"docker": ".dockerenv", "podman": "run/.containerenv"}  # the files by which they are known


def write(host: FakeHost, root: Path) -> None:
    """All of them."""
    (root / "dev/shm").mkdir(parents=True)
    (root / "sys/bus/pci/devices").mkdir(parents=True)
    more = ((path, text.replace("\\n", "\n")) for path, text in host.files.items())
    for path, text in (*_system(host), *_bus(host), *_driver(host), *more):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="latin-1", errors="replace")
    if host.wsl:
        (root / "dev/dxg").touch()
    if host.driver:
        for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in _minors(host))):
            (root / "dev" / name).symlink_to("/dev/null")  # a character device that needs no root to make


def _system(host: FakeHost) -> Iterator[tuple[str, str]]:
    yield "etc/os-release", 'PRETTY_NAME="Fake Linux 1"\n'
    yield "etc/hostname", "fake-host\n"
    yield "proc/self/cgroup", "0::/user.slice\n"
    yield "proc/meminfo", "MemTotal:       263842560 kB\n"
    yield "proc/cpuinfo", "model name\t: Fake CPU\nflags\t\t: fpu sse avx avx2\n"
    yield "proc/uptime", f"{host.uptime:.2f} {host.uptime:.2f}\n"
    yield "lib/x86_64-linux-gnu/libc.so.6", f"{ELF64}GNU C Library (Fake) stable release version 2.35.\n"
    yield "usr/lib/x86_64-linux-gnu/libstdc++.so.6", f"{ELF64}GLIBCXX_3.4.9\0GLIBCXX_3.4.30\0"
    if host.container:
        yield CONTAINER.get(host.container, "run/systemd/container"), f"{host.container}\n"
    if host.readable_log:
        yield "dev/kmsg", "".join(_records(host))


def _records(host: FakeHost) -> Iterator[str]:
    """As the kernel gives its log: level, sequence number, microseconds since boot, flags; text."""
    driver = f"NVRM: loading NVIDIA UNIX x86_64 Kernel Module  {host.driver}  Wed Aug 16 2023"
    lines = [(number / 10, line) for number, line in enumerate(BOOT)] + ([(5.0, driver)] if host.driver else [])
    for number, (seconds, line) in enumerate(sorted([*lines, *host.log], key=lambda line: line[0])):
        yield f"6,{number},{int(seconds * 1e6)},-;{line}\n"


def _bus(host: FakeHost) -> Iterator[tuple[str, str]]:
    """The PCI bus: what NVML tells of a link is what stands there."""
    for address in host.bus_only:
        yield f"sys/bus/pci/devices/{address}/vendor", "0x10de\n"
        yield f"sys/bus/pci/devices/{address}/class", f"{host.pci_class}\n"
    for index in range(0 if host.wsl else len(host.gpus)):
        for name, text in _device(host, index).items():
            yield f"sys/bus/pci/devices/{host.address(index)}/{name}", f"{text}\n"


def _device(host: FakeHost, index: int) -> dict[str, str]:
    rows = host.rows(index)
    files = {"vendor": "0x10de", "class": host.pci_class, "numa_node": str(index * 2 // max(len(host.gpus), 2))}
    if rows.get("pci.device_id", "").startswith("0x"):
        files["device"] = rows["pci.device_id"]
    for reading, name in (("width", "current_link_width"), ("max_width", "max_link_width")):
        if (lanes := plain(rows.get(f"pcie.{reading}", ""))) is not None:
            files[name] = str(lanes)
    for reading, name in (("generation", "current_link_speed"), ("max_generation", "max_link_speed")):
        if (generation := plain(rows.get(f"pcie.{reading}", ""))) in SPEED:
            files[name] = f"{SPEED[generation]} GT/s PCIe"
    changed = {key.partition(".")[2]: value for key, value in host.pci.items() if key.partition(".")[0] == str(index)}
    return {**files, **changed}


def _driver(host: FakeHost) -> Iterator[tuple[str, str]]:
    if not host.driver:
        return
    yield (
        "proc/driver/nvidia/version",
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {host.driver}  Wed Aug 16 2023\n",
    )
    for index in range(len(host.gpus)):
        rows = host.rows(index)
        told = f"Model: \t\t {rows['name']}\nGPU UUID: \t {rows['uuid']}\nVideo BIOS: \t {rows.get('vbios', '??')}\n"
        yield f"proc/driver/nvidia/gpus/{host.address(index)}/information", told


def _minors(host: FakeHost) -> list[int]:
    """The numbers of the device nodes; a GPU that the driver lost still has its own."""
    told = [plain(host.rows(index).get("minor", "")) for index in range(len(host.gpus))]
    return [index if minor is None else minor for index, minor in enumerate(told)]
