"""The threads that unpack: all wheels of a run at once, the costliest member that can be had first."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from paddle_bootstrap.unpack.unpacking import Inflating, Stopped, Unpacking

PATROL = 0.2  # seconds between looks at whether there is something to do
THREADS = max(2, min(4, len(os.sched_getaffinity(0))))  # more only wait for the disk

Ended = Callable[[], object]


class Crew:
    """Works until it is closed. ``news`` is the condition under which bytes arrive."""

    def __init__(self, news: threading.Condition, threads: int = THREADS) -> None:
        self.news = news
        self.error: BaseException | None = None
        self._jobs: list[tuple[Unpacking, Ended]] = []
        self._all: list[Unpacking] = []
        self._closing = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def add(self, unpacking: Unpacking, ended: Ended) -> None:
        """``ended`` is called, by one of the threads, once every member of ``unpacking`` is there."""
        with self.news:
            self._jobs.append((unpacking, ended))
            self._all.append(unpacking)
            self.news.notify_all()

    def close(self, *, finish: bool) -> None:
        """Wait for what was added (``finish``), or stop. Raises what a thread has raised."""
        with self.news:
            self._closing = True
            if not finish:
                self._stop()
            self.news.notify_all()
        for thread in self._threads:
            thread.join()
        for unpacking in self._all:
            unpacking.close()
        if finish and self.error:
            raise self.error

    def _stop(self) -> None:
        for unpacking, _ in self._jobs:
            unpacking.stopped = True
        self._jobs.clear()

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                unpacking, ended, inflating = job
                unpacking.work(inflating)
                if self._is_last(unpacking):
                    ended()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 raised again by close
            with self.news:
                self.error = self.error or error
                self._stop()
                self._closing = True
                self.news.notify_all()

    def _next(self) -> tuple[Unpacking, Ended, Inflating] | None:
        with self.news:
            while True:
                able = [(unpacking, ended, first) for unpacking, ended in self._jobs if (first := unpacking.peek())]
                if able:
                    best = max(able, key=lambda job: job[2].cost)
                    best[0].taken(best[2])
                    return best
                if self._closing and not self._jobs:
                    return None
                self.news.wait(PATROL)

    def _is_last(self, unpacking: Unpacking) -> bool:
        """Exactly one thread is told so."""
        with self.news:
            if unpacking.unfinished:
                return False
            found = [job for job in self._jobs if job[0] is unpacking]
            self._jobs = [job for job in self._jobs if job[0] is not unpacking]
            return bool(found)
