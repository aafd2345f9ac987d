"""Runs commands under a clock, and looks at what they left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.scenarios import ARIA2, FETCH
from bench.tools import Job
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock import pieces

TAIL = 2000  # characters of a tool's output that are kept


@dataclass(frozen=True)
class Ran:
    """What some commands, one after the other, cost."""

    wall: float  # seconds
    cpu: float  # seconds, children included
    rss: int  # bytes, the largest process
    code: int | None  # of the last command; None: it was ended after ``limit`` seconds
    said: str  # the end of their output


def run(commands: Sequence[Sequence[str]], environ: Mapping[str, str], folder: Path, limit: float) -> Ran:
    """Run ``commands`` until one fails or ``limit`` seconds are over."""
    began, cpu, rss, code = time.monotonic(), 0.0, 0, 0
    log = folder / "output"
    with log.open("wb") as output:
        for command in commands:
            with subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            ) as child:
                timer = threading.Timer(max(0.0, began + limit - time.monotonic()), kill, [child.pid])
                timer.start()
                _, status, used = os.wait4(child.pid, 0)
                timer.cancel()
                kill(child.pid)  # what it started and left behind
                child.returncode = code = os.waitstatus_to_exitcode(status)
            cpu, rss = cpu + used.ru_utime + used.ru_stime, max(rss, used.ru_maxrss * 1024)
            if code:
                break
    wall = time.monotonic() - began
    ended = code == -signal.SIGKILL and wall >= limit
    return Ran(wall, cpu, rss, None if ended else code, log.read_text(errors="replace")[-TAIL:])


def kill(group: int) -> None:
    """kill -9 for a process and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def outcome(tool: str, job: Job, ran: Ran) -> str:
    """In words: "installed" and "fetched" mean that every byte was compared."""
    if ran.code is None:
        return "does not end"
    if ran.code:
        return f"exit {ran.code}"
    if tool in (FETCH, ARIA2):
        path = job.file if tool == ARIA2 else Store(job.folder / "store").has(job.wheel.wheel)
        return "fetched" if path and pieces.measure(path).sha256 == job.wheel.wheel.sha256 else "WRONG BYTES"
    packages = next(job.venv.glob("lib/python3*/site-packages"), None)
    wrong = job.wheel.wrong_in(packages) if packages else "no environment"
    return f"WRONG: {wrong}" if wrong else "installed"
