"""All facts of this host in one reading; files are read while NVML's child works."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.host import linux, nvml
from paddle_bootstrap.host.facts import Driver, HostFacts

NVML_SECONDS = 60.0  # the first initialisation without persistence mode can take many seconds


def collect(
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
    paths: Mapping[str, Path] | None = None,
    deadline: float = NVML_SECONDS,
) -> HostFacts:
    """Read this host. ``paths``: role -> path whose file system matters; /dev/shm is always read."""
    child = nvml.start(environ)
    model, flags = linux.cpu(root)
    roles = {**(paths or {}), "shm": root / "dev/shm"}  # noqa: S108 the host's, not a file of ours
    filesystems = tuple(linux.filesystem(role, path, root) for role, path in roles.items())
    facts = {
        "hostname": platform.node(),
        "os": linux.os_name(root),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "glibc": linux.glibc(root),
        "glibcxx": linux.glibcxx(root),
        "cpu": model,
        "cpu_flags": flags,
        "memory_bytes": linux.memory(root),
        "container": linux.container(root, environ),
        "pci_gpus": linux.pci_gpus(root),
        "device_nodes": linux.device_nodes(root),
    }
    module = linux.kernel_module(root)
    told = nvml.finish(child, deadline)
    return HostFacts(
        filesystems=filesystems,
        driver=Driver(module, told.library, told.cuda_version, told.code),
        gpus=told.gpus,
        visible_devices=environ.get("CUDA_VISIBLE_DEVICES"),
        pynvml_problem=told.problem,
        **facts,  # type: ignore[arg-type]
    )
