"""What a code of the CUDA driver means on a host, for the checks whose workloads hand it on (``checks/cuda_errors.toml``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.harness.devices import Device
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.subject import built_in_checks

LOOK = "dmesg | grep -i -e xid -e nvrm; look the code up: CUDA driver API, CUresult"


def answered(told: Mapping[str, Any], device: Device) -> Mapping[str, Any]:
    """``told`` by a workload of the driver API on ``device``. Raises CheckFailed where the driver refused: {"error": ...}, and
    where another card did the work."""
    error = told["error"]
    if error is None:
        _expect_meant(told, device)
        return told
    code, call = error["code"], error["call"]
    says = f": {error['says']}" if error["says"] else ""
    if code is None:
        raise CheckFailed(
            f"{named(device)}: the CUDA driver cannot be used",
            measured=f"{call}: {error['name']}{says}",
            expected="a driver library with that call",
            likely="no driver is installed, it is older than CUDA 11, or the container was started without GPUs",
            fix="ldconfig -p | grep libcuda.so; see host.driver_loaded",
        )
    known = toml.read(built_in_checks() / "cuda_errors.toml").get(str(code), {})
    raise CheckFailed(
        f"{named(device)}: CUDA error {code}: {known.get('means', error['name'])}",
        measured=f"{call}: {code} ({known.get('name', error['name'])}){says}",
        expected="0 (CUDA_SUCCESS)",
        fix=known.get("fix", LOOK),
    )


def _expect_meant(told: Mapping[str, Any], device: Device) -> None:
    """CUDA counts the cards that it sees: behind one that it does not, each number is another card's than NVML's."""
    meant, did = device.gpu.uuid if device.gpu else None, told.get("uuid")
    if isinstance(meant, str) and did and did != meant and device.gpu and not device.gpu.mig:
        raise CheckFailed(
            f"CUDA has another GPU in the place of {named(device)}: it was not tested",
            measured=f"CUDA's number {device.ordinal} is {did}",
            expected=meant,
            likely="CUDA does not see this GPU, or one before it",
            fix="see device.gpus_visible; nvidia-smi -L; dmesg | grep -i -e xid -e nvrm",
        )
