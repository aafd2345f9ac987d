"""Workers by the GPU they are for: started early, used while checks pass, discarded after any failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_bootstrap.harness.channel import IMPORT_SECONDS, ImportLost, Worker, WorkloadBroken, WorkloadFailed, start

CLOSE_SECONDS = 0.2  # for a thread that waits for a worker just killed

Seat = int | None  # a GPU's NVML index; None: the worker that also serves calls without a GPU


@dataclass
class Pool:
    """The workers of one run."""

    python: Path
    environ: Mapping[str, str]
    ahead: str | None = "paddle"  # imported by each worker as it starts; None once that has ended or hung one
    import_seconds: float = IMPORT_SECONDS
    name: str = "target"
    _workers: dict[Seat, Worker] = field(default_factory=dict)
    _locks: dict[Seat, threading.Lock] = field(default_factory=dict)
    _closed: bool = False

    def start(self, seat: Seat = None) -> None:
        """Start the worker of ``seat`` before it is needed."""
        if seat not in self._workers and not self._closed:
            self._workers[seat] = start(self.python, self.environ, ahead=self.ahead, import_seconds=self.import_seconds)
            if self._closed:  # by another thread, in between
                self._discard(seat)

    def call(
        self, seat: Seat, name: str, folders: Sequence[Path], arguments: Mapping[str, Any], deadline: float
    ) -> Any:
        """Run one workload. Raises WorkloadFailed, WorkloadBroken."""
        with self._lock(seat):
            try:
                return self._call(seat, name, folders, arguments, deadline)
            except ImportLost:  # importing ahead is our idea: a call that does not need it shall not fail by it
                self.ahead = None
                self._discard(seat)
                return self._call(seat, name, folders, arguments, deadline)

    def _call(
        self, seat: Seat, name: str, folders: Sequence[Path], arguments: Mapping[str, Any], deadline: float
    ) -> Any:
        self.start(seat)
        worker = self._workers.get(seat)
        if worker is None:
            raise WorkloadBroken(f"{name}: the run is over", {})
        try:
            return worker.call(name, folders, arguments, deadline)
        except (WorkloadFailed, WorkloadBroken):
            self._discard(seat)  # CUDA errors stick
            raise

    def evidence(self, seat: Seat) -> dict[str, str]:
        """What the worker of ``seat`` has written; one that another check has begun to use is waited for."""
        with self._lock(seat):
            worker = self._workers.get(seat)
            return worker.evidence() if worker else {}

    def discard(self, seat: Seat) -> None:
        """A check failed with this worker: the next call gets a fresh one."""
        with self._lock(seat):
            self._discard(seat)

    def rest(self) -> None:
        """End the workers that are idle: what they hold of a GPU's memory is needed elsewhere."""
        for seat in list(self._workers):
            lock = self._lock(seat)
            if lock.acquire(blocking=False):
                try:
                    self._discard(seat)
                finally:
                    lock.release()

    def close(self) -> None:
        """End every worker; a thread that still waits for one gets a moment to see it."""
        self._closed = True
        for seat, worker in list(self._workers.items()):
            worker.kill()
            lock = self._lock(seat)
            if lock.acquire(timeout=CLOSE_SECONDS):
                self._discard(seat)
                lock.release()

    def _discard(self, seat: Seat) -> None:
        if worker := self._workers.pop(seat, None):
            worker.close()

    def _lock(self, seat: Seat) -> threading.Lock:
        return self._locks.setdefault(seat, threading.Lock())


def begin(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call ``function`` in a thread that nobody has to wait for, not even at exit."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
