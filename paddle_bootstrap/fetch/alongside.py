"""Unpacking while the bytes arrive: only pieces that match the lock's digests are looked at.

The end of a wheel, where its directory is, is fetched first, then its members in their order, or in that of their cost where
mirrors are quicker than unpacking is. An unpacked wheel gets its name in the store when it is complete and the whole file's
sha256 holds, whichever comes last. Its modules come before others when somebody compiles them meanwhile.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from paddle_bootstrap.fetch.arriving import BLOCKS, Arriving
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from paddle_bootstrap.unpack.crew import Crew
from paddle_bootstrap.unpack.members import Member, directory_start
from paddle_bootstrap.unpack.unpacking import Unpacking

COSTLY = 100  # a member that is more than this part of its wheel is worth fetching before others


class Compiler(Protocol):
    """Makes bytecode of wheels on their way. What it does not do is done at installation."""

    def begin(self, wheel: Wheel, folder: Path) -> None:
        """All modules of ``wheel`` are in ``folder``; returns at once."""

    def finish(self, wheel: Wheel) -> None:
        """The folder is about to get another name."""

    def keep(self, wheel: Wheel, unpacked: Path) -> None:
        """It has its name now: ``unpacked``."""

    def close(self) -> None:
        """Ends what is not finished."""


@dataclass
class _Job:
    place: Path
    unpacked: bool = False
    verified: bool = False


class Alongside:
    """The unpacking side of one fetch."""

    def __init__(self, store: Store, board: Board, compiler: Compiler | None = None) -> None:
        self.store = store
        self.compiler = compiler
        self._naming = ThreadPoolExecutor()  # compiling may take longer, and nobody else shall wait for it
        self._named: list[Future[None]] = []
        self.news = board.condition
        self.crew = Crew(self.news)
        self._jobs: dict[str, _Job] = {}
        for arriving in board.arrivings:  # without digests of its pieces nothing can be unpacked before all is there
            if arriving.wheel.pieces and store.unpacked(arriving.wheel) is None:
                arriving.first = [_blocks(arriving, max(0, arriving.size - 2 * PIECE_SIZE), arriving.size)]

    def consider(self, arriving: Arriving) -> None:
        """Begin to unpack, once the wheel's directory is there. Raises RefusedWheel for a wheel that holds what it may not.

        Called after each piece, by any thread; none of them holds the lock.
        """
        with self.news:
            if arriving.wheel.filename in self._jobs or not self._may_begin(arriving):
                return
            job = self._jobs[arriving.wheel.filename] = _Job(self.store.place_to_unpack(arriving.wheel))
        compilable = partial(self.compiler.begin, arriving.wheel, job.place) if self.compiler else None
        partial_file = self.store.partial(arriving.wheel)
        unpacking = Unpacking(partial_file, job.place, arriving.verified_until, self.news, compilable)
        with self.news:
            arriving.first = []
            arriving.costly = [_blocks(arriving, member.header, member.end) for member in _costly(unpacking.members)]
        self.crew.add(unpacking, partial(self._mark, arriving, unpacked=True))

    def _may_begin(self, arriving: Arriving) -> bool:
        if not arriving.wheel.pieces or arriving.right or self.store.unpacked(arriving.wheel):
            return False
        end = max(0, arriving.size - PIECE_SIZE)
        if arriving.verified_until(end) < arriving.size:
            return False
        start = directory_start(self.store.partial(arriving.wheel))
        if start is not None and arriving.verified_until(start) < arriving.size:
            arriving.first = [_blocks(arriving, start, arriving.size)]
            return False
        return start is not None

    def keep(self, arriving: Arriving) -> None:
        """Its sha256 holds."""
        self._mark(arriving, verified=True)

    def _mark(self, arriving: Arriving, *, unpacked: bool = False, verified: bool = False) -> None:
        with self.news:
            job = self._jobs.get(arriving.wheel.filename)
            if job is None:
                return
            job.unpacked, job.verified = job.unpacked or unpacked, job.verified or verified
            if not (job.unpacked and job.verified):
                return
            self._named.append(self._naming.submit(self._name, arriving.wheel, job.place))

    def _name(self, wheel: Wheel, place: Path) -> None:
        if self.compiler:
            self.compiler.finish(wheel)
        unpacked = self.store.keep_unpacked(wheel, place)
        if self.compiler:
            self.compiler.keep(wheel, unpacked)

    def close(self, *, finish: bool) -> None:
        """Wait until what was begun is unpacked (``finish``), or stop. Raises what the unpacking raised."""
        try:
            with self.store.explained():
                self.crew.close(finish=finish)
            for named in self._named:
                named.result()
        finally:
            if self.compiler:
                self.compiler.close()
            self._naming.shutdown()


def _blocks(arriving: Arriving, start: int, end: int) -> range:
    """Of all pieces that hold some of these bytes: only a whole piece can be judged."""
    return range(start // PIECE_SIZE * BLOCKS, min(-(-end // PIECE_SIZE) * BLOCKS, len(arriving.states)))


def _costly(members: tuple[Member, ...]) -> list[Member]:
    total = sum(member.size for member in members)
    found = [member for member in members if member.size * COSTLY > total]
    return sorted(found, key=lambda member: -member.size)
