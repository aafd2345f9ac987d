"""The loads of the driver API on a host of fake cards: memory, copies and kernels are real, their faults are scripted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from paddle_bootstrap.results.model import Level
from tests.checks.judging import Judged, preflight, seen
from tests.fakes.host import A100, FakeGpu, FakeHost

A100_PCIE4 = replace(
    A100,
    faults={
        "pcie.width": "16",
        "pcie.generation": "4",
        "pcie.max_width": "16",
        "pcie.max_generation": "4",
        "pcie.card_generation": "4",
        "pci_device_id": "20b2",
    },
)


def host_of(*gpus: FakeGpu) -> FakeHost:
    return FakeHost(gpus=gpus)


TWO = host_of(A100_PCIE4, A100_PCIE4)
THREE = host_of(A100_PCIE4, A100_PCIE4, A100_PCIE4)


def loads(
    host: FakeHost, folder: Path, keyword: str, *faults: str, level: Level = "standard", **environ: str
) -> Judged:
    """The checks whose id has ``keyword`` in it; ``faults``: rows of the script, "dev0.hang = cuLaunchKernel"."""
    script = folder / "cuda.conf"
    script.write_text("".join(f"{fault}\n" for fault in faults))
    facts, around = seen(host, folder / "host", FAKE_CUDA_CONF=str(script), **environ)
    addresses = ",".join(host.address(index) for index in range(len(host.gpus)))
    return preflight(facts, None, {**around, "FAKE_CUDA_ADDRESSES": addresses}, level=level, keyword=keyword)
