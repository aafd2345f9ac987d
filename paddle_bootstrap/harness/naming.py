"""How a check names one card, so that whoever stands before the rack finds it."""

from __future__ import annotations

from paddle_bootstrap.harness.devices import Device


def named(device: Device) -> str:
    """``gpu3 (0000:5e:00.0, GPU-1234...)``: NVML's index, the PCI address and the UUID, as far as they are known."""
    told = (device.gpu.pci_address, device.gpu.uuid) if device.gpu else ()
    known = [value for value in told if isinstance(value, str)]
    return f"{device.label} ({', '.join(known)})" if known else device.label
