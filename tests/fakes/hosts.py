"""Hosts that decide on a build, as facts: the recorded ones of the plans, and any other."""

from __future__ import annotations

from dataclasses import replace

from paddle_bootstrap.host.facts import Driver, HostFacts, Unknown
from tests.fakes.facts import gpu, host

NONE = Unknown("not loaded: there is no /proc/driver/nvidia/version")

# name -> driver, GPU, compute capability (facts: sku.csv and NVIDIA's table), how many
RECORDED: dict[str, tuple[str | None, str, tuple[int, int], int]] = {
    "v100-450": ("450.80.02", "Tesla V100-SXM2-32GB", (7, 0), 8),
    "t4-470": ("470.256.02", "Tesla T4", (7, 5), 1),
    "a100-525": ("525.147.05", "NVIDIA A100-SXM4-80GB", (8, 0), 8),
    "4090-535": ("535.104.05", "NVIDIA GeForce RTX 4090", (8, 9), 2),
    "h100-550": ("550.54.15", "NVIDIA H100 80GB HBM3", (9, 0), 8),
    "h20-535": ("535.104.05", "NVIDIA H20", (9, 0), 8),
    "5090-575": ("575.57.08", "NVIDIA GeForce RTX 5090", (12, 0), 1),
    "no-driver": (None, "", (0, 0), 0),
}


def recorded(name: str) -> HostFacts:
    """One of ``RECORDED``."""
    return with_gpus(*RECORDED[name])


def with_gpus(driver: str | None, model: str, capability: tuple[int, int], count: int = 1) -> HostFacts:
    """A sound host with ``count`` such GPUs, or with neither driver nor GPU."""
    version = driver or NONE
    gpus = tuple(gpu(index, name=model, compute_capability=capability) for index in range(count))
    return replace(
        host(0),
        driver=Driver(version, version, (12, 2) if driver else NONE, None if driver else 12),
        gpus=gpus if driver else Unknown("NVML code 12"),
        pci_gpus=tuple(f"0000:{index + 16:02x}:00.0" for index in range(count)),
    )
