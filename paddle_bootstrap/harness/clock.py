"""The time of one check. It guards against a check that hangs here; workloads have deadlines of their own."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

GRACE = 5.0  # seconds: for a teardown, and once for what a workload told when the time was over
AGAIN = 1.0  # seconds between alarms, for a check that catches the first one


class CheckHung(pytest.fail.Exception):  # type: ignore[name-defined, misc]  # pytest hides the class in an attribute
    """The check itself, not a workload, passed its time.

    One of pytest's own outcomes: no Exception, so that a check which catches all of those still ends, and yet pytest
    finishes the teardown that it interrupts.
    """


class Clock:
    """``seconds`` of a check, over setup, call and teardown.

    ``whole``: the seconds were given for the whole check, so that time in workloads counts and shortens their deadlines.
    """

    def __init__(self, seconds: float, *, whole: bool = False) -> None:
        self.seconds = seconds
        self.whole = whole
        self.left = seconds
        self._graced = False
        self._began = 0.0

    @contextmanager
    def running(self, *, at_least: float = 0.0) -> Iterator[None]:
        """Ring inside the block once the time is over; the block gets ``at_least`` this much."""
        self.left = max(self.left, at_least)
        before = signal.signal(signal.SIGALRM, self._ring)
        self._start()
        try:
            yield
        finally:
            self._stop()
            signal.signal(signal.SIGALRM, before)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not ring inside the block: what waits there has a deadline of its own."""
        if not self._stop():
            yield
            return
        if self.left <= 0:  # it has not come to ring between two quick calls
            self._start()
            self._ring()
        began = time.monotonic()
        try:
            yield
        finally:
            if self.whole:
                self.left -= time.monotonic() - began
            if self.left <= 0 and not self._graced:
                self.left, self._graced = GRACE, True
            self._start()

    def deadline(self, wanted: float) -> float:
        """How long a workload may take that was given ``wanted`` seconds."""
        return max(min(wanted, self.left), 0.1) if self.whole else wanted

    def _ring(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        raise CheckHung(f"the check itself did not end in {self.seconds:g} s")

    def _start(self) -> None:
        self._began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(self.left, 0.001), AGAIN)

    def _stop(self) -> bool:
        """False when it did not run."""
        _, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        if interval:
            self.left -= time.monotonic() - self._began
        return bool(interval)
