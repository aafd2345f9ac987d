"""A limit for the sum of all connections, for links that others use too."""

from __future__ import annotations

import threading
import time

from paddle_bootstrap.fetch.block_map import BLOCK


class Rate:
    """``per_second`` bytes, shared by all threads; None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self.at_once = BLOCK if per_second is None else max(1024, min(BLOCK, int(per_second / 20)))  # bytes of one read
        self._lock = threading.Lock()
        self._paid_until = 0.0  # monotonic
        self._over = threading.Event()

    def wait_for(self, count: int) -> None:
        """Return when ``count`` more bytes are within the limit."""
        if self.per_second is None:
            return
        with self._lock:
            self._paid_until = max(self._paid_until, time.monotonic()) + count / self.per_second
            wait = self._paid_until - time.monotonic()
        self._over.wait(wait)

    def end(self) -> None:
        """Nobody waits any more."""
        self._over.set()
