"""What a stage says while it works. Stages speak to an observer; only the command line decides how it looks.

With no observer installed the library is silent. Nothing here writes to stdout: that carries the product.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Protocol, TextIO


class Observer(Protocol):
    """Draws what the stages report."""

    def step(self, message: str) -> None:
        """A stage begins."""

    def note(self, message: str) -> None:
        """A detail, shown with ``-v``."""

    def warn(self, message: str) -> None:
        """Something the user should know although the run goes on."""

    def transfer(self, name: str, done: int, total: int | None) -> None:
        """Bytes of file ``name`` that have arrived (a resumed part included); ``done == total`` ends it."""

    def total(self, done: int, total: int) -> None:
        """The same for all files that are being fetched; said before the ``transfer`` of the one in front."""


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Report to ``observer`` inside the block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def step(message: str) -> None:
    if observer := _observer.get():
        observer.step(message)


def note(message: str) -> None:
    if observer := _observer.get():
        observer.note(message)


def warn(message: str) -> None:
    if observer := _observer.get():
        observer.warn(message)


def transfer(name: str, done: int, total: int | None) -> None:
    if observer := _observer.get():
        observer.transfer(name, done, total)


def total(done: int, total: int) -> None:
    if observer := _observer.get():
        observer.total(done, total)


class Pace:
    """Bytes per second over the last seconds, and how long the rest takes."""

    WINDOW = 5.0  # seconds

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def of(self, done: int) -> float:
        """``done`` bytes are there now: the speed, 0 when it cannot be told yet."""
        now = time.monotonic()
        self._seen = [seen for seen in self._seen if now - seen[0] <= self.WINDOW and seen[1] <= done]
        self._seen.append((now, done))
        since, before = self._seen[0]
        return (done - before) / (now - since) if now > since else 0.0


class Drawing:
    """Draws on standard error: steps as lines, transfers as one live line on a terminal and one plain line elsewhere."""

    def __init__(self, stream: TextIO, *, verbose: bool = False, live: bool = False, log: TextIO | None = None) -> None:
        self.stream = stream
        self.verbose = verbose
        self.live = live
        self.log = log
        self._began: dict[str, tuple[float, int]] = {}  # file -> monotonic seconds and bytes when it was first seen
        self._open_line = False
        self._pace = Pace()
        self._all = ""  # of the live line: what is told of all files
        self._lock = threading.RLock()  # several threads speak during a fetch

    def step(self, message: str) -> None:
        self._line(f"==> {message}", "step")

    def note(self, message: str) -> None:
        self._line(f"    {message}", "note", shown=self.verbose)

    def warn(self, message: str) -> None:
        self._line(f"warning: {message}", "warn")

    def total(self, done: int, total: int) -> None:
        speed = self._pace.of(done)
        parts = [f"  all: {human_bytes(done)} of {human_bytes(total)}"]
        if speed:
            parts += [f"{human_bytes(speed)}/s", f"{human_seconds((total - done) / speed)} left"]
        self._all = "  ".join(parts)

    def transfer(self, name: str, done: int, total: int | None) -> None:
        with self._lock:
            self._transfer(name, done, total)

    def _transfer(self, name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        started, first = self._began.setdefault(name, (now, done))
        speed = (done - first) / (now - started) if now > started else 0.0
        if done == total:
            del self._began[name]
            self._all = ""
            self._line(f"    {_short(name)}  {human_bytes(done)}  in {now - started:.1f} s", "transfer")
        elif self.live:
            told = f"  {100 * done // total} %{self._all}" if self._all and total else _told(done, total, speed)
            self._draw(name, told)

    def finish(self) -> None:
        """End a live line, so that what follows starts on a line of its own."""
        if self._open_line:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._open_line = False

    def _line(self, text: str, kind: str, *, shown: bool = True) -> None:
        with self._lock:
            problem = _append(self.log, kind, text)
            if problem:
                self.finish()
                self.stream.write(f"warning: {problem}\n")
            if shown:
                self.finish()
                self.stream.write(text + "\n")
                self.stream.flush()

    def _draw(self, name: str, told: str) -> None:
        """One line and no more: one that is wrapped could not be drawn over."""
        width = _columns(self.stream) - 1
        text = f"    {_short(name, max(1, width - 4 - len(told)))}{told}"[:width]
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()
        self._open_line = True


class JsonLines:
    """Writes one JSON object per line, for programs: ``event`` is step, note, warn, transfer (one file) or total (all)."""

    def __init__(self, stream: TextIO, *, log: TextIO | None = None) -> None:
        self.stream = stream
        self.log = log
        self._pace = Pace()
        self._lock = threading.Lock()

    def step(self, message: str) -> None:
        self._say("step", message)

    def note(self, message: str) -> None:
        self._say("note", message)

    def warn(self, message: str) -> None:
        self._say("warn", message)

    def transfer(self, name: str, done: int, total: int | None) -> None:
        self._write({"event": "transfer", "file": name, "bytes": done, "of": total})

    def total(self, done: int, total: int) -> None:
        speed = self._pace.of(done)
        left = round((total - done) / speed, 1) if speed else None
        self._write(
            {"event": "total", "bytes": done, "of": total, "bytes_per_second": round(speed), "seconds_left": left}
        )

    def finish(self) -> None:
        """Nothing is left open."""

    def _say(self, kind: str, message: str) -> None:
        problem = _append(self.log, kind, message)
        if problem:
            self._write({"event": "warn", "message": problem})
        self._write({"event": kind, "message": message})

    def _write(self, event: dict[str, object]) -> None:
        with self._lock:
            self.stream.write(json.dumps(event) + "\n")
            self.stream.flush()


def _append(log: TextIO | None, kind: str, text: str) -> str:
    """Add a line to the log; returns why that failed, once: a log on a full disk ends, and the run goes on."""
    if log is None or log.closed:
        return ""
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    try:
        log.write(f"{stamp} {kind:8} {text.strip()}\n")
        log.flush()
    except OSError as error:
        with suppress(OSError):  # what is left in its buffer does not fit either
            log.close()
        return f"the log file ends here: {error.strerror}"
    return ""


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):  # no terminal
        return 80


def _told(done: int, total: int | None, speed: float) -> str:
    parts = ["", human_bytes(done)]
    if total:
        parts[-1] += f" of {human_bytes(total)} ({100 * done // total} %)"
    if speed:
        parts.append(f"{human_bytes(speed)}/s")
        if total:
            parts.append(f"{human_seconds((total - done) / speed)} left")
    return "  ".join(parts)


def _short(name: str, width: int = 40) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def human_bytes(count: float) -> str:
    """``count`` bytes in decimal units, as download pages write them: 759 MB."""
    if count < 1e3:
        return f"{count:.0f} B"
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    if count < 1e9:
        return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} MB"
    return f"{count / 1e9:.2f} GB"


def human_seconds(seconds: float) -> str:
    """45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
