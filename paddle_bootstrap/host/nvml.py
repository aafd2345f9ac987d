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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

from paddle_bootstrap.host.facts import Gpu, Unknown

CHILD = Path(__file__).with_name("nvml_child.py")
DONE = b'{"done": true}\n'  # the child's last line; it may still hang while it leaves the driver
REAP_SECONDS = 1.0  # an ordinary process is gone within milliseconds of SIGKILL
_GPU_FACTS = tuple(field.name for field in fields(Gpu) if field.name != "index")


@dataclass(frozen=True)
class Reading:
    """What NVML told before it ended, or was ended."""

    library: str | Unknown
    cuda_version: tuple[int, int] | Unknown
    gpus: tuple[Gpu, ...] | Unknown
    code: int | None  # NVML's return code when initialisation failed
    problem: str | None  # pynvml itself is the wrong one


@contextlib.contextmanager
def asking(environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The child, at work; it does not outlive the block."""
    child = subprocess.Popen(
        [sys.executable, "-I", str(CHILD)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(environ),
    )
    try:
        yield child
    finally:
        _end(child)
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def finish(child: subprocess.Popen[bytes], deadline: float) -> Reading:
    """What the child finds within ``deadline`` seconds; it is ended then."""
    assert child.stdout is not None
    assert child.stderr is not None
    output, errors, in_time = _collected(child.stdout, child.stderr, deadline)
    told = _Told(output)
    if told.done:
        return told.reading("NVML did not say")
    if in_time:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(REAP_SECONDS)
        return told.reading(f"{_death(child.returncode)}{told.while_asking}{_last_line(errors)}")
    left = "" if _end(child) else "; the process that asks it cannot be ended (D state) and was left behind"
    return told.reading(f"NVML did not answer in {deadline:g} s{told.while_asking}{left}")


def _collected(out: IO[bytes], err: IO[bytes], deadline: float) -> tuple[bytes, bytes, bool]:
    """What both pipes gave until the child was done, and whether it was in time or closed them."""
    ends = time.monotonic() + deadline
    parts: dict[IO[bytes], bytearray] = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in parts:
            selector.register(pipe, selectors.EVENT_READ, parts[pipe])
        while selector.get_map() and not parts[out].endswith(DONE):
            left = ends - time.monotonic()
            ready = selector.select(left) if left > 0 else []  # a library that prints without end is late all the same
            if not ready:
                break
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                key.data.extend(part)
                if not part:
                    selector.unregister(key.fileobj)
        return bytes(parts[out]), bytes(parts[err]), not selector.get_map()


def _end(child: subprocess.Popen[bytes]) -> bool:
    """Kill and reap the child. False: it cannot be reaped, and nobody will wait for it, not even Python when it ends."""
    if child.poll() is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    try:
        child.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        child.returncode = -signal.SIGKILL
        return False
    return True


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"the process that asks NVML died of {signal.Signals(-code).name}"
    return f"the process that asks NVML ended with code {code}"


def _last_line(errors: bytes) -> str:
    lines = errors.decode("utf-8", "backslashreplace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


class _Told:
    """The child's lines, sorted: facts by GPU (None: of the system) and name, and the call that has no answer yet."""

    def __init__(self, output: bytes) -> None:
        self.facts: dict[tuple[int | None, str], Any] = {}
        self.code: int | None = None
        self.done = False
        self.while_asking = " while it started"
        for line in output.splitlines():
            with contextlib.suppress(ValueError):  # the last line of a killed child may be half a line
                self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        gpu = said.get("gpu")
        if "asking" in said:
            self.while_asking = f" while asked for {said['asking']}" + ("" if gpu is None else f" of GPU {gpu}")
        elif "fact" in said:
            failed = "unknown" in said
            self.facts[gpu, said["fact"]] = Unknown(said["unknown"]) if failed else said["value"]
            self.code = said["code"] if failed and said["fact"] == "init" else self.code
        self.done = self.done or "done" in said

    def reading(self, otherwise: str) -> Reading:
        """The facts; those not told are unknown because of what failed before them, or of ``otherwise``."""
        problem = self.facts.get((None, "bindings"))
        begun = self.facts.get((None, "init"))
        reason = begun if isinstance(begun, Unknown) else Unknown(problem or otherwise)
        cuda = self.facts.get((None, "cuda"), reason)
        count = self.facts.get((None, "count"), reason)
        return Reading(
            library=self.facts.get((None, "library"), reason),
            cuda_version=cuda if isinstance(cuda, Unknown) else (cuda // 1000, cuda % 1000 // 10),
            gpus=count if isinstance(count, Unknown) else tuple(self._gpu(index, reason) for index in range(count)),
            code=self.code,
            problem=problem,
        )

    def _gpu(self, index: int, reason: Unknown) -> Gpu:
        handle = self.facts.get((index, "handle"))
        missing = handle if isinstance(handle, Unknown) else reason
        values = {name: self.facts.get((index, name), missing) for name in _GPU_FACTS}
        capability = values["compute_capability"]
        if not isinstance(capability, Unknown):
            values["compute_capability"] = tuple(capability)
        return Gpu(index, **values)
