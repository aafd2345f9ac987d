"""Run as a process of its own: reads NVML through pynvml and prints one JSON object per finding, as soon as it has it.

A stuck driver hangs this process and nothing else; what was printed before stays known.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any


def say(**finding: Any) -> None:
    sys.stdout.write(json.dumps(finding) + "\n")
    sys.stdout.flush()


def version_problem(pynvml: Any) -> str | None:
    """Why this pynvml cannot be trusted."""
    from importlib.metadata import PackageNotFoundError, version

    advice = "pip uninstall pynvml && pip install --force-reinstall 'nvidia-ml-py>=13.580'"
    if hasattr(pynvml, "__path__"):
        return f"the distribution called pynvml shadows nvidia-ml-py's module: {advice}"
    try:
        found = version("nvidia-ml-py")
    except PackageNotFoundError:
        return f"the module pynvml is not nvidia-ml-py's: {advice}"
    if tuple(int(part) for part in found.split(".")[:2]) < (13, 580):
        return f"nvidia-ml-py {found} misreads newer drivers: {advice}"
    return None


def reading(pynvml: Any, call: Callable[..., Any], *arguments: Any) -> Any:
    """A value, or {"unknown": reason}."""
    try:
        value = call(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError) as error:
        return {"unknown": told(error)}
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def told(error: Any) -> str:
    code = getattr(error, "value", None)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 pynvml asks the library for the text of codes it does not know
        text = type(error).__name__
    return f"NVML {code}: {text}" if code is not None else text


def start(pynvml: Any) -> bool:
    """Initialise NVML; False when that failed, and why was said."""
    mismatch = getattr(pynvml, "NVMLLibraryMismatchError", ())
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        reason = told(error)
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            reason = f"NVML {error.value}: {library_problem()}"
        say(code=error.value, failed=reason)
        return False
    except mismatch as error:
        say(code=18, failed=f"the NVML library does not fit: {error}")
        return False
    return True


def library_problem() -> str:
    """pynvml loses the loader's words; absent and corrupt are two things."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        return str(error)
    return "libnvidia-ml.so.1 can be opened, but pynvml could not"


def gpu(pynvml: Any, index: int) -> dict[str, Any]:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        unknown = {"unknown": told(error)}
        return dict.fromkeys(("uuid", "pci_address", "name", "compute_capability", "memory_bytes", "mig"), unknown)
    memory = reading(pynvml, pynvml.nvmlDeviceGetMemoryInfo, handle)
    pci = reading(pynvml, pynvml.nvmlDeviceGetPciInfo, handle)
    mig = reading(pynvml, pynvml.nvmlDeviceGetMigMode, handle)
    return {
        "uuid": reading(pynvml, pynvml.nvmlDeviceGetUUID, handle),
        "pci_address": pci if isinstance(pci, dict) else address(pci),
        "name": reading(pynvml, pynvml.nvmlDeviceGetName, handle),
        "compute_capability": reading(pynvml, pynvml.nvmlDeviceGetCudaComputeCapability, handle),
        "memory_bytes": memory if isinstance(memory, dict) else memory.total,
        "mig": mig if isinstance(mig, dict) else bool(mig[0]),
    }


def address(pci: Any) -> str:
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def main() -> None:
    import pynvml

    problem = version_problem(pynvml)
    say(problem=problem)
    if problem or not start(pynvml):
        return
    say(library=reading(pynvml, pynvml.nvmlSystemGetDriverVersion))
    say(cuda=reading(pynvml, pynvml.nvmlSystemGetCudaDriverVersion_v2))
    count = reading(pynvml, pynvml.nvmlDeviceGetCount)
    say(count=count)
    for index in range(count if isinstance(count, int) else 0):
        say(index=index, gpu=gpu(pynvml, index))
    say(done=True)


main()
