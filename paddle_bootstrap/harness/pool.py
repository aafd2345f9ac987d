"""The parent's side of workers: one per GPU and one for the rest, started early, killed at a deadline, never reused after a failure."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from paddle_bootstrap.results.model import Cause

WORKER = Path(__file__).with_name("worker.py")
EVIDENCE = 8192  # bytes kept of each stream
REAP_SECONDS = 2.0  # after SIGKILL; a process in D state is left behind
STACK_SECONDS = 0.5  # for a hung worker to write its stack


class WorkloadFailed(Exception):
    """What happened to a call inside the target, as evidence about the host."""

    def __init__(self, cause: Cause, summary: str, evidence: Mapping[str, str]) -> None:
        super().__init__(summary)
        self.cause = cause
        self.summary = summary
        self.evidence = dict(evidence)


@dataclass
class Worker:
    """One process in the target's Python."""

    process: subprocess.Popen[bytes]
    requests: IO[bytes]
    replies: int
    streams: Mapping[str, IO[bytes]]
    buffer: bytearray = field(default_factory=bytearray)

    def call(self, name: str, arguments: Mapping[str, Any], deadline: float) -> Any:
        """The workload's value. Raises WorkloadFailed."""
        ends = time.monotonic() + deadline
        line = json.dumps({"call": name, "arguments": dict(arguments)}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            self.requests.write(line)
            self.requests.flush()
        reply = self._line(ends)
        if reply is None:
            raise self._hung(name, deadline)
        if not reply:
            raise self._died(name)
        told = json.loads(reply)
        if "raised" in told:
            summary = f"{name} raised {told['raised']}: {(told['message'].strip().splitlines() or [''])[-1]}"
            raise WorkloadFailed("raised", summary, {"traceback": told["traceback"], **self.evidence()})
        return told["value"]

    def _line(self, ends: float) -> bytes | None:
        """One reply; empty when the worker died, None when the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.replies, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(max(0.0, ends - time.monotonic())):
                    return None
                part = os.read(self.replies, 1 << 16)
                if not part:
                    return b""
                self.buffer += part
        line, _, rest = self.buffer.partition(b"\n")
        self.buffer = bytearray(rest)
        return bytes(line)

    def _hung(self, name: str, deadline: float) -> WorkloadFailed:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STACK_SECONDS)
        reaped = self.kill()
        left = "" if reaped else "; it could not be ended (stuck in the driver) and was left behind"
        return WorkloadFailed("timeout", f"{name} did not answer in {deadline:g} s{left}", self.evidence())

    def _died(self, name: str) -> WorkloadFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(REAP_SECONDS)
        code = self.process.poll()
        self.kill()
        return WorkloadFailed("crash", f"{name}: {_told(code)}", self.evidence())

    def evidence(self) -> dict[str, str]:
        """The tails of what the process wrote."""
        return {name: text for name, stream in self.streams.items() if (text := _tail(stream))}

    def kill(self) -> bool:
        """End the whole process group; False when it would not end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.requests.close()
        with contextlib.suppress(OSError):
            os.close(self.replies)
        try:
            self.process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.returncode = -signal.SIGKILL  # abandoned: nobody waits for it any more
            return False
        return True


def _told(code: int | None) -> str:
    if code is None:
        return "the process closed its pipe"
    if code == -signal.SIGKILL:
        return "the process was killed (SIGKILL), as the kernel does when memory runs out"
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    if code == 255:
        return "the process ended itself with exit(-1), as Paddle does on a device error"
    return f"the process ended itself with exit code {code}"


def _tail(stream: IO[bytes]) -> str:
    stream.flush()
    size = os.fstat(stream.fileno()).st_size
    return os.pread(stream.fileno(), EVIDENCE, max(0, size - EVIDENCE)).decode("utf-8", "replace").strip()


def start(python: Path, folders: Sequence[Path], environ: Mapping[str, str], *, preload: str = "paddle") -> Worker:
    """Start a worker of ``python``; it imports ``preload`` at once, while the parent goes on."""
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    streams = {"stdout": tempfile.TemporaryFile(), "stderr": tempfile.TemporaryFile()}  # noqa: SIM115 they outlive this call
    kept = {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
    command = [str(python), "-I", "-X", "faulthandler", str(WORKER), str(request_read), str(reply_write), preload]
    process = subprocess.Popen(
        [*command, *map(str, folders)],
        stdin=subprocess.DEVNULL,
        stdout=streams["stdout"],
        stderr=streams["stderr"],
        pass_fds=(request_read, reply_write),
        start_new_session=True,
        env={**kept, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
    )
    os.close(request_read)
    os.close(reply_write)
    return Worker(process, os.fdopen(request_write, "wb"), reply_read, streams)


@dataclass
class Pool:
    """Workers by the device they are for; None is the one that needs no GPU of its own."""

    python: Path
    folders: Sequence[Path]
    environ: Mapping[str, str]
    _workers: dict[int | None, Worker] = field(default_factory=dict)
    _busy: dict[int | None, threading.Lock] = field(default_factory=dict)

    def warm(self, device: int | None = None) -> None:
        """Start the worker of ``device`` before it is needed."""
        self._busy.setdefault(device, threading.Lock())
        if device not in self._workers:
            self._workers[device] = start(self.python, self.folders, self.environ)

    def call(self, device: int | None, name: str, arguments: Mapping[str, Any], deadline: float) -> Any:
        """Run one workload; its worker is discarded after any failure, since CUDA errors stick."""
        with self._busy.setdefault(device, threading.Lock()):
            self.warm(device)
            worker = self._workers[device]
            try:
                return worker.call(name, arguments, deadline)
            except WorkloadFailed:
                worker.kill()
                del self._workers[device]
                raise

    def close(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
