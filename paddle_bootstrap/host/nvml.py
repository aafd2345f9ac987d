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

from paddle_bootstrap.host.facts import Gpu, Late, Unknown, Unsupported

CHILD = Path(__file__).with_name("nvml_child.py")
LEFT_BEHIND = "; the process that asks it cannot be ended (D state) and was left behind"
START_SECONDS = 8.0  # to begin, and to open one GPU, which the driver starts then: 1 to 2 s without persistence mode
CALL_SECONDS = 3.0  # an answer takes microseconds; one that the driver has to wait for, 45 s
LEFT = -999  # the return code of a child that was left behind
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
    untold: tuple[int, ...] = ()  # the GPUs that were not asked, for the one before them did not answer


def begun(
    environ: Mapping[str, str],
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """The child, at work. Whoever begins it must end it."""
    return subprocess.Popen(
        [sys.executable, "-I", str(CHILD), *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE if stdout == subprocess.PIPE else subprocess.DEVNULL,
        start_new_session=True,
        env=dict(environ),
    )


@contextlib.contextmanager
def asking(environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The child that tells all facts; it does not outlive the block."""
    child = begun(environ)
    try:
        yield child
    finally:
        ended(child)
        close(child)


def close(child: subprocess.Popen[bytes]) -> None:
    """Our ends of its pipes."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            pipe.close()


def finish(child: subprocess.Popen[bytes], start: float = START_SECONDS) -> Reading:
    """What the child finds. It is ended at the first call that takes too long: ``start`` seconds for those that start a
    driver, ``CALL_SECONDS`` for the others."""
    told = Told()
    errors, late = _listened(child, told, start)
    if told.done:
        return told.reading(Unknown("NVML did not say"))
    if late is None:
        return told.reading(Unknown(f"{death(child)}{told.while_asking}{last_line(errors)}"))
    left = "" if ended(child) else LEFT_BEHIND
    return told.reading(Late(f"NVML did not answer in {late:g} s{told.while_asking}{left}"))


def _listened(child: subprocess.Popen[bytes], told: Told, start: float) -> tuple[bytes, float | None]:
    """Feed ``told`` until it is done; returns what was said on standard error, and the seconds that were too few."""
    assert child.stdout is not None
    assert child.stderr is not None
    errors, allowed, since = bytearray(), start, time.monotonic()
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and not told.done:
            left = since + allowed - time.monotonic()
            ready = selector.select(left) if left > 0 else []  # a library that prints without end is late all the same
            if not ready:
                return bytes(errors), allowed
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    errors.extend(part)
                else:
                    told.feed(part)
                    allowed, since = (start if told.starts else min(CALL_SECONDS, start)), time.monotonic()
    return bytes(errors), None


def kill(child: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def ended(*children: subprocess.Popen[bytes]) -> bool:
    """Kill and reap. False: some cannot be reaped, and nobody will wait for them, not even Python when it ends."""
    for child in children:
        kill(child)
    ends = time.monotonic() + REAP_SECONDS
    reaped = [_reaped(child, ends) for child in children]  # each of them, also after one that cannot be
    return all(reaped)


def _reaped(child: subprocess.Popen[bytes], ends: float) -> bool:
    try:
        child.wait(max(0.01, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.returncode = LEFT
    return child.returncode != LEFT


def death(child: subprocess.Popen[bytes]) -> str:
    """How a child ended that closed its pipes."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(REAP_SECONDS)
    code = child.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"the process that asks NVML died of {signal.Signals(-code).name}"
    return f"the process that asks NVML ended with code {code}"


def last_line(errors: bytes) -> str:
    lines = errors.decode("utf-8", "backslashreplace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


_STARTING = ("nvmlInit", "nvmlDeviceGetHandleByIndex")  # the calls in which a driver starts


class Told:
    """The child's lines, sorted: facts by GPU (None: of the system) and name, and the call that has no answer yet."""

    def __init__(self) -> None:
        self.facts: dict[tuple[int | None, str], Any] = {}
        self.code: int | None = None
        self.done = False
        self.asked: dict[str, Any] = {}
        self._rest = b""

    def feed(self, output: bytes) -> None:
        """More of what it printed; the last line of a killed child may be half a line."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self._take(json.loads(line))

    @property
    def while_asking(self) -> str:
        gpu = self.asked.get("gpu")
        of = "" if gpu is None else f" of GPU {gpu}"
        return f" while asked for {self.asked['asking']}{of}" if self.asked else " while it started"

    @property
    def starts(self) -> bool:
        """Is it at a call that may have to start a driver?"""
        return self.asked.get("asking", _STARTING[0]) in _STARTING

    def _take(self, said: dict[str, Any]) -> None:
        if "asking" in said:
            self.asked = said
        elif "fact" in said:
            self.facts[said.get("gpu"), said["fact"]] = _value(said)
            self.code = said["code"] if "unknown" in said and said["fact"] == "init" else self.code
        self.done = self.done or "done" in said

    def reading(self, otherwise: Unknown) -> Reading:
        """The facts; those not told are unknown because of what failed before them, or of ``otherwise``."""
        problem = self.facts.get((None, "bindings"))
        begun = self.facts.get((None, "init"))
        reason = begun if isinstance(begun, Unknown) else Unknown(problem) if problem else otherwise
        cuda = self.facts.get((None, "cuda"), reason)
        count = self.facts.get((None, "count"), reason)
        return Reading(
            library=self.facts.get((None, "library"), reason),
            cuda_version=cuda if isinstance(cuda, Unknown) else (cuda // 1000, cuda % 1000 // 10),
            gpus=count if isinstance(count, Unknown) else tuple(self._gpu(index, reason) for index in range(count)),
            code=self.code,
            problem=problem,
            untold=() if isinstance(count, Unknown) else tuple(range(self.asked.get("gpu", count) + 1, count)),
        )

    def _gpu(self, index: int, reason: Unknown) -> Gpu:
        handle = self.facts.get((index, "handle"))
        missing = handle if isinstance(handle, Unknown) else reason
        values = {name: self.facts.get((index, name), missing) for name in _GPU_FACTS}
        capability = values["compute_capability"]
        if not isinstance(capability, Unknown):
            values["compute_capability"] = tuple(capability)
        return Gpu(index, **values)


def _value(said: Mapping[str, Any]) -> Any:
    if "unknown" not in said:
        return said["value"]
    return (Unsupported if said.get("unsupported") else Unknown)(said["unknown"], said["code"])
