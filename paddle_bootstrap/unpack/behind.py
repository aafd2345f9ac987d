"""A thread that keeps what another one inflates: a big member takes as long as the slower of the two, not their sum."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType

AT_ONCE = 1 << 19  # bytes handed over at once: fewer would cost more in waking up than in writing
DEPTH = 8  # handed over and not written yet, so memory stays small
_WRITE = 2  # linux/fs.h: SYNC_FILE_RANGE_WRITE
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)


class Behind:
    """``keep`` is called for each piece of data, in order, by a thread of its own, until the block is left."""

    def __init__(self, keep: Callable[[bytes], object]) -> None:
        self._keep = keep
        self._queue: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # one entry per batch that may still be handed over
        self._batch: list[bytes] = []
        self._bytes = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, data: bytes) -> None:
        """Hand ``data`` over. Raises what ``keep`` has raised."""
        self._batch.append(data)
        self._bytes += len(data)
        if self._bytes >= AT_ONCE:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._error:
            raise self._error
        self._room.get()
        self._queue.put(self._batch)
        self._batch, self._bytes = [], 0

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                for data in batch if not self._error else ():  # after an error they are taken and dropped: nobody waits
                    self._keep(data)
            except BaseException as error:  # noqa: BLE001 raised again by who hands over
                self._error = error
            self._room.put(None)

    def __enter__(self) -> Behind:
        for _ in range(DEPTH):
            self._room.put(None)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._queue.put(self._batch)
        self._queue.put(None)
        self._thread.join()
        if self._error and error is None:
            raise self._error


def start_writing(descriptor: int, start: int, count: int) -> None:
    """Let the disk begin with these bytes of a file, and do not wait: what is flushed in the end is little then."""
    if _sync_file_range:
        _sync_file_range(descriptor, ctypes.c_int64(start), ctypes.c_int64(count), _WRITE)
