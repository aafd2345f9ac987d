"""Facts of a host that does not exist, for tests that need only the facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from paddle_bootstrap.host.facts import Driver, FileSystem, Gpu, HostFacts


def gpu(index: int, **more: Any) -> Gpu:
    """An A100; ``more`` replaces fields."""
    plain = Gpu(
        index=index,
        uuid=f"GPU-{index:08x}-0000-0000-0000-000000000000",
        pci_address=f"0000:{index + 16:02x}:00.0",
        name="NVIDIA A100-SXM4-80GB",
        compute_capability=(8, 0),
        memory_bytes=85_899_345_920,
        mig=False,
    )
    return replace(plain, **more)


def host(gpus: int = 0, **more: Any) -> HostFacts:
    """A sound host with so many GPUs; ``more`` replaces fields."""
    plain = HostFacts(
        hostname="node1",
        os="Debian GNU/Linux 12",
        kernel="6.1.0",
        machine="x86_64",
        glibc="2.36",
        glibcxx="3.4.30",
        cpu="Intel(R) Xeon(R) Platinum 8369B",
        cpu_flags=("avx", "avx2", "fma"),
        memory_bytes=1 << 40,
        filesystems=(
            FileSystem("target", "/data", 1, "ext4", 1 << 40, 1 << 41),
            FileSystem("store", "/data", 1, "ext4", 1 << 40, 1 << 41),
            FileSystem("temporary", "/tmp", 1, "ext4", 1 << 40, 1 << 41),
            FileSystem("shm", "/dev/shm", 2, "tmpfs", 1 << 39, 1 << 39),
        ),
        container=None,
        driver=Driver("535.104.05", "535.104.05", (12, 2), None),
        gpus=tuple(gpu(index) for index in range(gpus)),
        pci_gpus=tuple(f"0000:{index + 16:02x}:00.0" for index in range(gpus)),
        device_nodes=(),
        visible_devices=None,
        pynvml_problem=None,
    )
    return replace(plain, **more)
