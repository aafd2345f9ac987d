"""One worker process and the pipes to it: requests with a deadline, and whatever it leaves behind when it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from paddle_bootstrap.harness.deaths import explain, memory_kills
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.results.model import Cause

WORKER = Path(__file__).with_name("worker.py")
EVIDENCE_BYTES = 8192  # kept of each stream
IMPORT_SECONDS = 180.0  # for the import ahead of the first call: a cold import of 3 GB from a network disk is no hang
REAP_SECONDS = 2.0  # after SIGKILL; a process in D state is left behind
STACK_SECONDS = 0.5  # for a hung worker to write its stack
LOOK_SECONDS = 0.2  # between looks at a silent worker: a child that outlives it can hold the pipe open
_FRAME = re.compile(r'Current thread.*?\n  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')


class WorkloadFailed(CheckFailed):
    """What happened to a call inside the target: evidence about the host."""

    def __init__(self, cause: Cause, summary: str, evidence: Mapping[str, str], **told: Any) -> None:
        super().__init__(summary, **told)
        self.cause = cause
        self.evidence = dict(evidence)


class WorkloadBroken(Exception):
    """The call could not be made or answered: evidence about the check, not about the host."""

    def __init__(self, summary: str, evidence: Mapping[str, str]) -> None:
        super().__init__(summary)
        self.evidence = dict(evidence)


class ImportLost(Exception):
    """The import ahead of the first call ended or hung the process; no call was made yet."""


@dataclass
class Worker:
    """One process in the target's Python."""

    process: subprocess.Popen[bytes]
    requests: int
    replies: int
    streams: Mapping[str, IO[bytes]]
    import_ends: float | None  # monotonic; None: no import is under way
    kills: Mapping[str, int]
    buffer: bytearray = field(default_factory=bytearray)
    reaped: bool | None = None  # None: not killed yet

    def call(self, name: str, folders: Sequence[Path], arguments: Mapping[str, Any], deadline: float) -> Any:
        """The workload's value. Raises WorkloadFailed, WorkloadBroken, or ImportLost before anything was called."""
        self._await_import()
        ends = time.monotonic() + deadline
        said = os.fstat(self.streams["stderr"].fileno()).st_size
        request = {"call": name, "folders": list(map(str, folders)), "arguments": arguments, "deadline": deadline}
        reply = self._line(ends) if self._send(request, ends) else None
        if reply is None:
            raise self._hung(name, deadline)
        if not reply:
            raise self._died(name, said)
        return self._value(name, reply)

    def _value(self, name: str, reply: bytes) -> Any:
        """What the workload returned. Raises what became of it instead."""
        try:
            told = json.loads(reply)
        except ValueError as error:
            found = reply[:EVIDENCE_BYTES].decode("utf-8", "replace")
            raise WorkloadBroken(f"{name} wrote into the pipe of the answers", {"answer": found}) from error
        if "broken" in told:
            raise WorkloadBroken(told["broken"], {"traceback": told["traceback"], **self.evidence()})
        if "raised" in told:
            last = (told["message"].strip().splitlines() or [""])[-1].strip()
            evidence = {"traceback": told["traceback"][-EVIDENCE_BYTES:], **self.evidence()}
            summary = f"{name} raised {told['raised']}: {last}"
            raise WorkloadFailed("raised", summary, evidence, measured=told["message"].strip() or told["raised"])
        return told["value"]

    def _await_import(self) -> None:
        """Wait for the import that was begun at the start. What it raised is met again by the call that imports it."""
        if self.import_ends is None:
            return
        if not self._line(self.import_ends):
            raise ImportLost
        self.import_ends = None

    def _send(self, request: Mapping[str, Any], ends: float) -> bool:
        """False when the worker lives and did not take it in time."""
        data = json.dumps(request).encode() + b"\n"
        try:
            while data and self._ready(self.requests, selectors.EVENT_WRITE, ends):
                data = data[os.write(self.requests, data) :]
        except BrokenPipeError:
            return True  # it has died: the missing answer will say so
        return not data or self.process.poll() is not None

    def _line(self, ends: float) -> bytes | None:
        """One reply; empty when the worker died, None when the time is over."""
        while b"\n" not in self.buffer:
            if not self._ready(self.replies, selectors.EVENT_READ, ends):
                return None if self.process.poll() is None else b""
            part = os.read(self.replies, 1 << 16)
            if not part:
                return b""
            self.buffer += part
        line, _, rest = self.buffer.partition(b"\n")
        self.buffer = bytearray(rest)
        return bytes(line)

    def _ready(self, pipe: int, event: int, ends: float) -> bool:
        """Wait for ``pipe``; False when the time is over or the worker has died and left nothing in it."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            while (left := ends - time.monotonic()) > 0:
                dead = self.process.poll() is not None
                if selector.select(0 if dead else min(left, LOOK_SECONDS)):
                    return True
                if dead:
                    break
        return False

    def _hung(self, name: str, deadline: float) -> WorkloadFailed:
        evidence = self.evidence()
        stack = self._stack()
        reaped = self.kill()
        frame = _FRAME.search(stack)
        at = f"still in {Path(frame['file']).name}, line {frame['line']}, {frame['name']}" if frame else "no answer"
        return WorkloadFailed(
            "timeout",
            f"{name} did not answer in {deadline:g} s",
            {**evidence, **({"stack": stack} if stack else {})},
            measured=at if reaped else f"{at}; the process cannot be ended (stuck in the kernel) and was left behind",
            expected=f"an answer within {deadline:g} s",
            likely="the device or the driver hangs"
            if reaped
            else "the driver hangs: the process waits inside the kernel",
            fix="dmesg | grep -i -e xid -e nvrm -e 'blocked for more'",
        )

    def _stack(self) -> str:
        """The Python stacks of a hung worker, as faulthandler writes them to standard error."""
        stream = self.streams["stderr"].fileno()
        before = size = os.fstat(stream).st_size
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        ends = time.monotonic() + STACK_SECONDS
        while time.monotonic() < ends:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
            seen = os.fstat(stream).st_size
            if seen == size > before:
                break
            size = seen
        return os.pread(stream, EVIDENCE_BYTES, before).decode("utf-8", "replace").strip()

    def _died(self, name: str, said: int) -> WorkloadFailed:
        """``said``: how long standard error was before the call; what stands there from earlier calls is no last word."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(REAP_SECONDS)
        death = explain(self.process.poll(), self.kills, memory_kills())
        self.kill()
        evidence = self.evidence()
        last = _tail(self.streams["stderr"], said).splitlines()[-1:]
        return WorkloadFailed(
            "crash",
            f"{name}: {death.summary}",
            {**evidence, **({"memory": death.memory} if death.memory else {})},
            measured=last[0].strip() if last else death.summary,
            expected="an answer from a process that lives on",
            likely=death.likely,
            fix=death.fix,
        )

    def evidence(self) -> dict[str, str]:
        """The tails of what the process wrote."""
        return {name: text for name, stream in self.streams.items() if (text := _tail(stream))}

    def kill(self) -> bool:
        """End the whole process group; False when it would not end within REAP_SECONDS."""
        if self.reaped is not None:
            return self.reaped
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        try:
            self.process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.returncode = -signal.SIGKILL  # abandoned: nobody waits for it any more
            self.reaped = False
        else:
            self.reaped = True
        return self.reaped

    def close(self) -> None:
        """Kill it and give back its files. Not while another thread waits for its answer."""
        self.kill()
        _close((self.requests, self.replies), self.streams)


def _close(pipes: Sequence[int], streams: Mapping[str, IO[bytes]]) -> None:
    for pipe in pipes:
        os.close(pipe)
    for stream in streams.values():
        stream.close()


def _tail(stream: IO[bytes], since: int = 0) -> str:
    start = max(since, os.fstat(stream.fileno()).st_size - EVIDENCE_BYTES)
    return os.pread(stream.fileno(), EVIDENCE_BYTES, start).decode("utf-8", "replace").strip()


def start(
    python: Path, environ: Mapping[str, str], *, ahead: str | None, import_seconds: float = IMPORT_SECONDS
) -> Worker:
    """Start a worker of ``python``; it imports ``ahead`` at once, while the parent goes on. Raises OSError."""
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    streams = {"stdout": tempfile.TemporaryFile(), "stderr": tempfile.TemporaryFile()}  # noqa: SIM115 they outlive this call
    kept = {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
    try:
        process = subprocess.Popen(
            [str(python), "-I", "-B", "-u", "-X", "faulthandler", str(WORKER), str(request_read), str(reply_write)],
            stdin=subprocess.DEVNULL,
            stdout=streams["stdout"],
            stderr=streams["stderr"],
            pass_fds=(request_read, reply_write),
            start_new_session=True,
            env={**kept, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        )
    except OSError:
        _close((request_write, reply_read), streams)
        raise
    finally:
        _close((request_read, reply_write), {})
    os.set_blocking(request_write, False)
    worker = Worker(process, request_write, reply_read, streams, None, memory_kills())
    if ahead:
        worker.import_ends = time.monotonic() + import_seconds
        worker._send({"import": ahead, "deadline": import_seconds}, worker.import_ends)
    return worker
