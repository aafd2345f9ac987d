"""The loads of the driver API on a host of fake cards: memory, copies and kernels are real, their faults are scripted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.harness.session import run_checks
from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.results.model import Level
from tests.checks import scripted
from tests.checks.judging import Judged, by_id, seen
from tests.fakes.host import FakeGpu, FakeHost

LINK = {"generation": "4", "max_generation": "4", "card_generation": "4", "width": "16", "max_width": "16"}


def gpu(name: str, device_id: str, **readings: str) -> FakeGpu:
    """A card with a PCI link of generation 4; more ``readings`` with __ for the dot."""
    told = {f"pcie.{key}": value for key, value in LINK.items()}
    told |= {"pci.device_id": str(int(device_id, 16))}
    return FakeGpu(name, faults=told | {key.replace("__", "."): value for key, value in readings.items()})


def a100(**readings: str) -> FakeGpu:
    """Twelve NVLinks of 25 GB/s one way."""
    links = {f"nvlinks.{link}": "true" for link in range(12)}
    memory = {"clocks.max_memory": "1593", "bus_width": "5120"}
    return gpu("NVIDIA A100-SXM4-80GB", "20b2", **links, **memory, **readings)


def host_of(*gpus: FakeGpu) -> FakeHost:
    return FakeHost(gpus=gpus)


def cards(number: int) -> FakeHost:
    return host_of(*[a100()] * number)


OURS = ("copy.", "compute.", "words.", "scripted.")
MEMORY = 1 << 20  # bytes of each card: copies are quick
FAST = tuple(f"dev{index}.gbs.device = 1750" for index in range(8))  # as an A100 with 80 GB


def loads(
    host: FakeHost,
    folder: Path,
    keyword: str,
    *faults: str,
    level: Level = "standard",
    files: Mapping[str, str] | None = None,
    driver: str | None = None,
    limits: Mapping[str, str] | None = None,
    **environ: str,
) -> Judged:
    """The checks whose id has ``keyword`` in it; ``faults``: rows of the script, "dev0.hang = cuLaunchKernel".

    ``files``: more of the host's; ``driver``: which library stands in the CUDA driver's place, "": none that opens;
    ``limits``: what stands in limits.toml -> instead; then the ids begin with "scripted".
    """
    script = folder / "cuda.conf"
    named = {fault.split(" =")[0] for fault in faults}
    usual = [row for row in FAST if row.split(" =")[0] not in named]
    script.write_text("".join(f"{row}\n" for row in [*faults, *usual]))
    environ = {"FAKE_CUDA_CONF": str(script), "FAKE_CUDA_MEMORY": str(MEMORY), **environ}
    facts, around = seen(host, folder / "host", **environ)
    for path, text in (files or {}).items():
        (folder / "host" / "rootfs" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "host" / "rootfs" / path).write_text(text)
    if driver is not None:
        library = folder / "host" / "lib" / "libcuda.so.1"
        library.unlink()
        library.symlink_to(driver or "nowhere")
    how = {"environ": around, "level": level, "host_only": True}
    if limits:
        site = scripted.copy(keyword.split(".")[0], folder / "site", limits)
        how |= {"checks": (site,), "keyword": f"scripted.{keyword.split('.')[1]}"}
    subject = Subject(None, None, "gpu", None)
    found = by_id(run_checks(subject, facts=lambda: facts, **{"keyword": keyword, **how}))
    return {name: result for name, result in found.items() if name.startswith(OURS)}
