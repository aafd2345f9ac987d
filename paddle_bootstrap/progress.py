"""What a stage says while it works. Stages speak to an observer; only the command line decides how it looks.

With no observer installed the library is silent. Nothing here writes to stdout: that carries the product.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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


class Drawing:
    """Draws on standard error: steps as lines, transfers as one live line on a terminal and one plain line elsewhere."""

    def __init__(self, stream: TextIO, *, verbose: bool = False, live: bool = False, log: TextIO | None = None) -> None:
        self.stream = stream
        self.verbose = verbose
        self.live = live
        self.log = log
        self._began: dict[str, tuple[float, int]] = {}  # file -> monotonic seconds and bytes when it was first seen
        self._open_line = False

    def step(self, message: str) -> None:
        self._line(f"==> {message}", "step")

    def note(self, message: str) -> None:
        self._line(f"    {message}", "note", shown=self.verbose)

    def warn(self, message: str) -> None:
        self._line(f"warning: {message}", "warn")

    def transfer(self, name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        started, first = self._began.setdefault(name, (now, done))
        speed = (done - first) / (now - started) if now > started else 0.0
        if done == total:
            del self._began[name]
            self._line(f"    {_short(name)}  {human_bytes(done)}  in {now - started:.1f} s", "transfer")
        elif self.live:
            self._draw(_live_line(name, done, total, speed))

    def finish(self) -> None:
        """End a live line, so that what follows starts on a line of its own."""
        if self._open_line:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._open_line = False

    def _line(self, text: str, kind: str, *, shown: bool = True) -> None:
        if self.log:
            stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            self.log.write(f"{stamp} {kind:8} {text.strip()}\n")
            self.log.flush()
        if shown:
            self.finish()
            self.stream.write(text + "\n")
            self.stream.flush()

    def _draw(self, text: str) -> None:
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()
        self._open_line = True


def _live_line(name: str, done: int, total: int | None, speed: float) -> str:
    parts = [f"    {_short(name)}", human_bytes(done)]
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
