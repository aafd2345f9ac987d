"""NVML, asked in a child process with a deadline: a stuck driver must not hang us, and a child in D state is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap.host.facts import Gpu, Unknown

CHILD = Path(__file__).with_name("nvml_child.py")
REAP_SECONDS = 1.0
_GPU_FIELDS = ("uuid", "pci_address", "name", "compute_capability", "memory_bytes", "mig")


@dataclass(frozen=True)
class Reading:
    """What NVML told before it ended, or was ended."""

    library: str | Unknown
    cuda_version: tuple[int, int] | Unknown
    gpus: tuple[Gpu, ...] | Unknown
    code: int | None  # NVML's return code when initialisation failed
    problem: str | None  # pynvml itself is the wrong one


def start(environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The child, at work."""
    return subprocess.Popen(
        [sys.executable, "-I", str(CHILD)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(environ),
    )


def finish(child: subprocess.Popen[bytes], deadline: float) -> Reading:
    """What the child found within ``deadline`` seconds; it is ended then."""
    output, late = _collected(child, deadline)
    findings: dict[str, Any] = {}
    gpus: dict[int, dict[str, Any]] = {}
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if "gpu" in told:
                gpus[told["index"]] = told["gpu"]
            else:
                findings.update(told)
    return _reading(findings, gpus, late or _unfinished(child, findings))


def _collected(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, str | None]:
    """Its output, and why it was cut short if it was."""
    assert child.stdout is not None
    ends = time.monotonic() + deadline
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, ends - time.monotonic())):
            part = os.read(child.stdout.fileno(), 1 << 16)
            if not part:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(REAP_SECONDS)
                return bytes(output), None
            output += part
    return bytes(output), f"NVML did not answer in {deadline:g} s{_ended(child)}"


def _ended(child: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    try:
        child.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        child.returncode = -signal.SIGKILL  # abandoned: nobody waits for a process in D state
        return "; the reader could not be ended (D state) and was left behind"
    return ""


def _unfinished(child: subprocess.Popen[bytes], findings: Mapping[str, Any]) -> str | None:
    if "done" in findings or "failed" in findings or findings.get("problem"):
        return None
    last = (child.stderr.read() if child.stderr else b"").decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"the NVML reader ended with code {child.returncode}: {last[0] if last else 'it said nothing'}"


def _reading(findings: Mapping[str, Any], gpus: Mapping[int, Mapping[str, Any]], late: str | None) -> Reading:
    reason = Unknown(findings.get("failed") or late or findings.get("problem") or "NVML did not say")
    cuda = findings.get("cuda")
    count = findings.get("count")
    listed: tuple[Gpu, ...] | Unknown = reason if count is None else _value(count)
    if isinstance(count, int):
        listed = tuple(_gpu(index, gpus.get(index), reason) for index in range(count))
    return Reading(
        library=_value(findings["library"]) if "library" in findings else reason,
        cuda_version=(cuda // 1000, cuda % 1000 // 10) if isinstance(cuda, int) else _value(cuda) if cuda else reason,
        gpus=listed,
        code=findings.get("code"),
        problem=findings.get("problem"),
    )


def _gpu(index: int, told: Mapping[str, Any] | None, reason: Unknown) -> Gpu:
    if told is None:
        return Gpu(index, *[reason] * len(_GPU_FIELDS))
    values = {name: _value(told[name]) for name in _GPU_FIELDS}
    capability = values["compute_capability"]
    return Gpu(index, **{**values, "compute_capability": tuple(capability) if isinstance(capability, list) else capability})


def _value(value: Any) -> Any:
    return Unknown(value["unknown"]) if isinstance(value, dict) else value
