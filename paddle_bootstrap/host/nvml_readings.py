"""Part of the process that asks NVML: what is read of one GPU, by name. It only ever reads.

A part of a reading that the GPU or its driver does not have is ``None``; the whole is not supported when its first call is not.
Units are NVML's (bytes, MHz, degrees Celsius), except power, which is in watts.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it is that file which loads this one
    from paddle_bootstrap.host.nvml_card import Card

INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, CORRUPTED_INFOROM, VERSION_MISMATCH = 2, 3, 13, 14, 25
CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
SRAM = 7  # a memory location
GRAPHICS, SM, MEMORY = 0, 1, 2  # clocks
READ = 0  # pynvml's own NVML_P2P_CAPS_INDEX_READ is a tuple by mistake
MEMORY_TEMPERATURE, RECOVERY_ACTION = 82, 230  # fields
NVLINK_COUNTERS = {"replay": 0, "recovery": 1, "crc_flit": 2, "crc_data": 3}


def flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def memory(card: Card) -> dict[str, Any]:
    told = card.newest(
        ("nvmlDeviceGetMemoryInfo", card.pynvml.nvmlMemory_v2),
        ("nvmlDeviceGetMemoryInfo",),
    )
    return {name: getattr(told, name, None) for name in ("total", "reserved", "used", "free")}


def ecc_sram(card: Card) -> dict[str, Any]:
    """Uncorrectable errors of the caches in the life of the card; an older driver does not tell the vendor's threshold."""
    status = card.pynvml.c_nvmlEccSramErrorStatus_v1_t()
    try:
        card.call("nvmlDeviceGetSramEccErrorStatus", byref(status))
    except card.failures as error:
        if card.code(error) not in (NOT_SUPPORTED, FUNCTION_NOT_FOUND, VERSION_MISMATCH):
            raise
        total = card.call("nvmlDeviceGetMemoryErrorCounter", UNCORRECTED, AGGREGATE, SRAM)
        return {"uncorrected": total, "threshold_exceeded": None}
    total = status.aggregateUncParity + status.aggregateUncSecDed
    return {"uncorrected": total, "threshold_exceeded": bool(status.bThresholdExceeded)}


def rows(card: Card) -> dict[str, Any]:
    corrected, uncorrected, pending, failed = card.call("nvmlDeviceGetRemappedRows")
    return {"corrected": corrected, "uncorrected": uncorrected, "pending": bool(pending), "failed": bool(failed)}


def row_banks(card: Card) -> dict[str, Any]:
    """How many banks have all, many, some, few and no spare rows left."""
    told = card.call("nvmlDeviceGetRowRemapperHistogram")
    return {name: getattr(told, name) for name in ("max", "high", "partial", "low", "none")}


def retired_pages(card: Card) -> dict[str, Any]:
    single, double = (len(card.call("nvmlDeviceGetRetiredPages", cause)) for cause in (0, 1))
    pending = card.part("nvmlDeviceGetRetiredPagesPendingStatus")
    return {"single": single, "double": double, "pending": flag(pending)}


def inforom(card: Card) -> bool:
    try:
        card.call("nvmlDeviceValidateInforom")
    except card.failures as error:
        if card.code(error) == CORRUPTED_INFOROM:
            return False
        raise
    return True


def pcie(card: Card) -> dict[str, Any]:
    return {
        "width": card.call("nvmlDeviceGetCurrPcieLinkWidth"),
        "generation": card.part("nvmlDeviceGetCurrPcieLinkGeneration"),
        "max_width": card.part("nvmlDeviceGetMaxPcieLinkWidth"),
        "max_generation": card.part("nvmlDeviceGetMaxPcieLinkGeneration"),
        "card_generation": card.part("nvmlDeviceGetGpuMaxPcieLinkGeneration"),
    }


def nvlinks(card: Card) -> list[dict[str, Any]]:
    """The links that answer. Where there is none, the driver says so with one of two codes."""
    found: list[dict[str, Any]] = []
    for link in range(card.pynvml.NVML_NVLINK_MAX_LINKS):
        try:
            active = card.call("nvmlDeviceGetNvLinkState", link)
        except card.failures as error:
            if card.code(error) in (INVALID_ARGUMENT, NOT_SUPPORTED):
                continue
            raise
        found.append({"link": link, "active": bool(active)})
    if not found:
        raise card.lacks("this GPU has no NVLink")
    card.kept["links"] = found
    return found


def nvlink_errors(card: Card) -> dict[str, Any]:
    """Sums over the active links since the driver loaded."""
    links = card.kept.get("links")
    active = [link["link"] for link in (nvlinks(card) if links is None else links) if link["active"]]
    if not active:
        raise card.lacks("this GPU has no active NVLink")
    sums: dict[str, Any] = {}
    for name, counter in NVLINK_COUNTERS.items():
        told = [card.part("nvmlDeviceGetNvLinkErrorCounter", link, counter) for link in active]
        known = [count for count in told if count is not None]
        sums[name] = sum(known) if known else None
    return sums


def fabric(card: Card) -> dict[str, Any]:
    """The newest of two structures that the driver knows; only the newer one has a summary of health."""
    told = card.pynvml.c_nvmlGpuFabricInfo_v3_t()
    try:
        card.call("nvmlDeviceGetGpuFabricInfoV", byref(told))
    except card.failures as error:
        if card.code(error) != VERSION_MISMATCH:
            raise
        told = card.pynvml.c_nvmlGpuFabricInfo_v2_t()
        card.call("nvmlDeviceGetGpuFabricInfoV", byref(told))
    return {"state": told.state, "status": told.status, "health": getattr(told, "healthSummary", None)}


def with_others(name: str, *arguments: Any) -> Callable[[Card], dict[int, Any]]:
    """The same call for this GPU and each other one that can be had; one that cannot be had is told of by itself."""

    def read(card: Card) -> dict[int, Any]:
        found = {}
        card.asking("nvmlDeviceGetCount")
        for other in range(card.pynvml.nvmlDeviceGetCount()):
            if other == card.index or other in card.sweep.without:
                continue
            card.asking("nvmlDeviceGetHandleByIndex", of=f"gpu{other}")
            try:
                handle = card.pynvml.nvmlDeviceGetHandleByIndex(other)
            except card.failures:
                continue
            found[other] = card.call(name, handle, *arguments, of=f"gpu{other}")
        return found

    return read


def clocks(card: Card) -> dict[str, Any]:
    return {
        "sm": card.call("nvmlDeviceGetClockInfo", SM),
        "memory": card.part("nvmlDeviceGetClockInfo", MEMORY),
        "max_sm": card.part("nvmlDeviceGetMaxClockInfo", SM),
        "max_memory": card.part("nvmlDeviceGetMaxClockInfo", MEMORY),
    }


def application_clocks(card: Card) -> dict[str, Any]:
    return {
        "graphics": card.call("nvmlDeviceGetApplicationsClock", GRAPHICS),
        "memory": card.part("nvmlDeviceGetApplicationsClock", MEMORY),
        "default_graphics": card.part("nvmlDeviceGetDefaultApplicationsClock", GRAPHICS),
        "default_memory": card.part("nvmlDeviceGetDefaultApplicationsClock", MEMORY),
    }


def throttle_reasons(card: Card) -> Any:
    return card.newest(("nvmlDeviceGetCurrentClocksEventReasons",), ("nvmlDeviceGetCurrentClocksThrottleReasons",))


def temperature(card: Card) -> Any:
    return card.newest(("nvmlDeviceGetTemperatureV", 0), ("nvmlDeviceGetTemperature", 0))


def temperature_limits(card: Card) -> dict[str, Any]:
    shutdown = card.call("nvmlDeviceGetTemperatureThreshold", 0)
    others = {"slowdown": 1, "memory_max": 2, "gpu_max": 3}
    return {"shutdown": shutdown} | {
        name: card.part("nvmlDeviceGetTemperatureThreshold", kind) for name, kind in others.items()
    }


def power(card: Card) -> dict[str, Any]:
    draw = card.call("nvmlDeviceGetPowerUsage")
    least, most = card.part("nvmlDeviceGetPowerManagementLimitConstraints") or (None, None)
    told = {
        "draw_w": draw,
        "enforced_w": card.part("nvmlDeviceGetEnforcedPowerLimit"),
        "default_w": card.part("nvmlDeviceGetPowerManagementDefaultLimit"),
        "min_w": least,
        "max_w": most,
    }
    return {name: None if value is None else value / 1000 for name, value in told.items()}


def processes(card: Card) -> list[dict[str, Any]]:
    """Pids are the host's. Memory is None where the driver does not tell it."""
    compute = card.newest(
        ("nvmlDeviceGetComputeRunningProcesses_v3",),
        ("nvmlDeviceGetComputeRunningProcesses_v2",),
    )
    kinds = {
        "compute": compute,
        "graphics": card.part("nvmlDeviceGetGraphicsRunningProcesses_v3"),
        "mps": card.part("nvmlDeviceGetMPSComputeRunningProcesses_v3"),
    }
    return [
        {"pid": process.pid, "memory": process.usedGpuMemory, "kind": kind}
        for kind, found in kinds.items()
        for process in found or ()
    ]


def display(card: Card) -> dict[str, Any]:
    active = bool(card.call("nvmlDeviceGetDisplayActive"))
    return {"active": active, "mode": flag(card.part("nvmlDeviceGetDisplayMode"))}


def both(name: str) -> Callable[[Card], dict[str, Any]]:
    """A mode that is set, and the one that waits for a reset."""

    def read(card: Card) -> dict[str, Any]:
        current, pending = card.call(name)
        return {"current": bool(current), "pending": bool(pending)}

    return read


def plain(name: str, *arguments: Any) -> Callable[[Card], Any]:
    return lambda card: card.call(name, *arguments)


READINGS: dict[str, Callable[[Card], Any]] = {  # in the order asked: what others hang on comes last
    "index": plain("nvmlDeviceGetIndex"),
    "uuid": plain("nvmlDeviceGetUUID"),
    "pci_address": lambda card: card.sweep.address(card.once("nvmlDeviceGetPciInfo")),
    "pci_device_id": lambda card: f"{card.once('nvmlDeviceGetPciInfo').pciDeviceId >> 16:04x}",
    "name": plain("nvmlDeviceGetName"),
    "serial": plain("nvmlDeviceGetSerial"),
    "vbios": plain("nvmlDeviceGetVbiosVersion"),
    "minor": plain("nvmlDeviceGetMinorNumber"),
    "brand": plain("nvmlDeviceGetBrand"),
    "architecture": plain("nvmlDeviceGetArchitecture"),
    "compute_capability": plain("nvmlDeviceGetCudaComputeCapability"),
    "memory": memory,
    "bus_width": plain("nvmlDeviceGetMemoryBusWidth"),
    "ecc_mode": both("nvmlDeviceGetEccMode"),
    "ecc_uncorrected": plain("nvmlDeviceGetTotalEccErrors", UNCORRECTED, VOLATILE),
    "ecc_corrected": plain("nvmlDeviceGetTotalEccErrors", CORRECTED, VOLATILE),
    "ecc_uncorrected_aggregate": plain("nvmlDeviceGetTotalEccErrors", UNCORRECTED, AGGREGATE),
    "ecc_sram": ecc_sram,
    "rows": rows,
    "row_banks": row_banks,
    "retired_pages": retired_pages,
    "inforom": inforom,
    "recovery_action": lambda card: card.field(RECOVERY_ACTION),
    "pcie": pcie,
    "pcie_replays": plain("nvmlDeviceGetPcieReplayCounter"),
    "nvlinks": nvlinks,
    "nvlink_errors": nvlink_errors,
    "fabric": fabric,
    "clocks": clocks,
    "application_clocks": application_clocks,
    "throttle_reasons": throttle_reasons,
    "temperature": temperature,
    "temperature_limits": temperature_limits,
    "memory_temperature": lambda card: card.field(MEMORY_TEMPERATURE),
    "power": power,
    "persistence": lambda card: bool(card.call("nvmlDeviceGetPersistenceMode")),
    "compute_mode": plain("nvmlDeviceGetComputeMode"),
    "mig": both("nvmlDeviceGetMigMode"),
    "processes": processes,
    "display": display,
    "peers": with_others("nvmlDeviceGetP2PStatus", READ),
    "ancestors": with_others("nvmlDeviceGetTopologyCommonAncestor"),
}

SAMPLED: dict[str, Callable[[Card], Any]] = {  # the fields of a sample
    "sm_clock_mhz": plain("nvmlDeviceGetClockInfo", SM),
    "temperature_c": temperature,
    "power_w": lambda card: card.call("nvmlDeviceGetPowerUsage") / 1000,
    "throttle_reasons": throttle_reasons,
    "pcie_generation": plain("nvmlDeviceGetCurrPcieLinkGeneration"),
    "pcie_width": plain("nvmlDeviceGetCurrPcieLinkWidth"),
}
