"""All facts of this host in one reading; files are read while NVML's child works."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_bootstrap.host import filesystems, kernel_log, libraries, linux, nvidia, nvml, processes, readings
from paddle_bootstrap.host.facts import Driver, Gpu, HostFacts, Unknown, Unsupported
from paddle_bootstrap.host.variables import of_interest

GPU_FACTS = ("uuid", "pci_address", "name", "compute_capability", "memory", "mig")


def collect(
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
    paths: Mapping[str, Path] | None = None,
    deadline: float = nvml.START_SECONDS,
) -> HostFacts:
    """Read this host. ``paths``: role -> path whose file system matters; /dev/shm is always read. ``deadline``: the seconds
    that NVML may take to begin, and to open one GPU."""
    with nvml.asking(environ) as child:
        files = _files(root, environ, paths or {})
        module = nvidia.kernel_module(root)
        log, waiting = kernel_log.gather(root), processes.waiting(root)
        told = nvml.finish(child, deadline)
    gpus = _with_untold(told, environ, deadline)
    return HostFacts(
        **files,
        driver=Driver(module, told.library, told.cuda_version, told.code),
        gpus=gpus,
        visible_devices=environ.get("CUDA_VISIBLE_DEVICES"),
        pynvml_problem=told.problem,
        kernel_log=log.lines,
        kernel_log_source=log.source,
        kernel_log_begins=log.begins,
        uptime=kernel_log.uptime(root),
        wsl=os.path.lexists(root / "dev/dxg"),
        stuck=processes.stuck(root, waiting),
        variables=of_interest(environ),
    )


def _with_untold(told: nvml.Reading, environ: Mapping[str, str], deadline: float) -> tuple[Gpu, ...] | Unknown:
    """The GPUs; those after one that did not answer, or that ended the process which asks, are asked each by itself.

    The driver has been waited for by then: half of ``deadline`` has to do, so that two that hang cost no 20 s with all else.
    """
    if isinstance(told.gpus, Unknown) or not told.untold:
        return told.gpus
    apart = readings.sweep(environ, told.untold, GPU_FACTS, start=deadline / 2)
    return (*told.gpus[: told.untold[0]], *(_gpu(index, answers) for index, answers in apart.items()))


def _gpu(index: int, answers: Mapping[str, Any]) -> Gpu:
    """A GPU's facts from its readings."""
    handle = answers["handle"]
    found = {name: handle if isinstance(handle, Unknown) else answers[name] for name in GPU_FACTS}
    memory, mig, capability = found.pop("memory"), found.pop("mig"), found.pop("compute_capability")
    return Gpu(
        index,
        **found,
        compute_capability=capability if isinstance(capability, Unknown) else tuple(capability),
        memory_bytes=memory if isinstance(memory, Unknown) else memory["total"],
        mig=False if isinstance(mig, Unsupported) else mig if isinstance(mig, Unknown) else mig["current"],
    )


def _files(root: Path, environ: Mapping[str, str], paths: Mapping[str, Path]) -> dict[str, Any]:
    model, flags = linux.cpu(root)
    shm = filesystems.of_host("shm", root, "dev/shm")
    return {
        "hostname": linux.hostname(root),
        "os": linux.os_name(root),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "glibc": libraries.glibc(root),
        "glibcxx": libraries.glibcxx(root),
        "cpu": model,
        "cpu_flags": flags,
        "memory_bytes": linux.memory(root),
        "filesystems": (*(filesystems.filesystem(role, path) for role, path in paths.items()), shm),
        "container": linux.container(root, environ),
        "pci_gpus": nvidia.pci_gpus(root),
        "device_nodes": nvidia.device_nodes(root),
    }
