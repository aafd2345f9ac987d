"""Which devices a run is about: all GPUs, those that CUDA_VISIBLE_DEVICES leaves, or the CPU of a rehearsal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paddle_bootstrap.host.facts import Gpu, HostFacts, Unknown


@dataclass(frozen=True)
class Device:
    """What a check is run on. ``ordinal`` is CUDA's number in the worker, ``index`` is NVML's."""

    kind: Literal["gpu", "cpu"]
    index: int | Literal["cpu"]
    label: str  # "gpu0", "cpu"
    ordinal: int | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True)
class NoDevice:
    """A GPU was expected and there is none to use, and why."""

    reason: str
    label: str = "gpu"


CPU = Device("cpu", "cpu", "cpu")


def devices(facts: HostFacts) -> tuple[Device, ...]:
    """The GPUs meant, in CUDA's order."""
    gpus = facts.gpus if isinstance(facts.gpus, tuple) else ()
    chosen = visible(gpus, facts.visible_devices)
    return tuple(Device("gpu", gpu.index, f"gpu{gpu.index}", ordinal, gpu) for ordinal, gpu in enumerate(chosen))


def visible(gpus: Sequence[Gpu], setting: str | None) -> tuple[Gpu, ...]:
    """What CUDA_VISIBLE_DEVICES leaves, in its order; like CUDA, entries after the first invalid one do not count.

    Numbers are NVML's, since workers run with CUDA_DEVICE_ORDER=PCI_BUS_ID. A slice (MIG-...) stands for its GPU, which
    older drivers name in it; else it is taken for the first that is sliced: CUDA uses one slice, and NVML's facts hold none.
    """
    if setting is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.isdigit():
            found = [gpu for gpu in gpus if gpu.index == int(entry)]
        elif entry.startswith("MIG-"):
            sliced = [gpu for gpu in gpus if gpu.mig is True]
            found = [gpu for gpu in sliced if str(gpu.uuid) in entry] or sliced[:1]
        else:
            found = [gpu for gpu in gpus if entry and isinstance(gpu.uuid, str) and gpu.uuid.startswith(entry)]
        if len(found) != 1 or found[0] in chosen:
            break
        chosen += found
    return tuple(chosen)


def why_none(facts: HostFacts) -> str:
    """Why no GPU is usable, from the outside in."""
    if isinstance(facts.driver.kernel_module, Unknown):
        return "the NVIDIA kernel module is not loaded"
    if isinstance(facts.gpus, Unknown):
        return f"the driver lists no GPU: {facts.gpus.reason}"
    if facts.gpus and facts.visible_devices is not None:
        return f"CUDA_VISIBLE_DEVICES={facts.visible_devices!r} leaves none of {len(facts.gpus)} GPUs"
    return "the driver is there, but lists no GPU"


def device_of(item: Any) -> Device | NoDevice | None:
    """The device of this pytest item; None for one that is not run once per device."""
    found = getattr(getattr(item, "callspec", None), "params", {}).get("device")
    return found if isinstance(found, (Device, NoDevice)) else None


def family(item: Any) -> str:
    """The same for the items of one check that differ in their device alone."""
    device = device_of(item)
    parts = re.split(r"[\[\]-]", item.name)
    return f"{item.path}:{'-'.join(part for part in parts if device is None or part != device.label)}"
