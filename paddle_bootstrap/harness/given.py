"""What this process was given of the host: a part of its GPUs on purpose, or under WSL2 nothing but a library."""

from __future__ import annotations

import errno
import os

from paddle_bootstrap.harness.devices import devices
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.host.facts import HostFacts

ABSENT = os.strerror(errno.ENOENT)


def no_nodes(host: HostFacts) -> bool:
    """There is not one of the driver's device nodes."""
    return all(node.problem == ABSENT for node in host.device_nodes)


def gpu_nodes(host: HostFacts) -> int:
    """How many /dev/nvidiaN there are."""
    return sum(node.path.removeprefix("/dev/nvidia").isdigit() for node in host.device_nodes)


def giver(host: HostFacts) -> str | None:
    """What gave this process a part of the host's GPUs on purpose; None: nothing did, so the rest is lost.

    A container has nodes of just the GPUs that it was given: with a node for a lost one, the loss was not meant. A
    scheduler names in CUDA_VISIBLE_DEVICES what its control group lets through: each entry must then be there.
    """
    listed = len(host.gpus) if isinstance(host.gpus, tuple) else 0
    if isinstance(host.container, str) and 0 < gpu_nodes(host) <= listed:
        return f"the {host.container} container was given"
    asked = (host.visible_devices or "").split(",")
    if host.visible_devices and len(devices(host)) == len(asked):
        return f"CUDA_VISIBLE_DEVICES={host.visible_devices} is set, and the driver lists"
    return None


def not_under_wsl(host: HostFacts, what: str) -> None:
    """Skip where Windows has the card, its driver and its log, and Linux a library and /dev/dxg."""
    if host.wsl:
        raise NotSupported(f"under WSL2 {what} is that of Windows, which Linux does not see")
