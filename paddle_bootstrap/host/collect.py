"""All facts of this host in one reading; files are read while NVML's child works."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_bootstrap.host import filesystems, kernel_log, libraries, linux, nvidia, nvml, processes
from paddle_bootstrap.host.facts import Driver, HostFacts
from paddle_bootstrap.host.variables import of_interest

NVML_SECONDS = nvml.START_SECONDS


def collect(
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
    paths: Mapping[str, Path] | None = None,
    deadline: float = NVML_SECONDS,
) -> HostFacts:
    """Read this host. ``paths``: role -> path whose file system matters; /dev/shm is always read."""
    with nvml.asking(environ) as child:
        files = _files(root, environ, paths or {})
        module = nvidia.kernel_module(root)
        log, waiting = kernel_log.gather(root), processes.waiting(root)
        told = nvml.finish(child, deadline)
    return HostFacts(
        **files,
        driver=Driver(module, told.library, told.cuda_version, told.code),
        gpus=told.gpus,
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
