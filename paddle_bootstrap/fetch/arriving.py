"""One wheel on its way: which blocks are there, which are asked for, from whom each came, and what they add up to."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from paddle_bootstrap.errors import BootstrapError
from paddle_bootstrap.fetch.block_map import BLOCK, BlockMap
from paddle_bootstrap.fetch.lane import Lane
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from paddle_bootstrap.unpack.behind import start_writing

FREE, ASKED, WRITING, DONE, DOUBTED = range(5)  # doubted: free for one mirror alone
_DONE = bytes([DONE])
EARLIER_RUN = -1  # an origin
BLOCKS = PIECE_SIZE // BLOCK  # of a piece


@dataclass
class Doubt:
    """A piece that was wrong: what its blocks were and who sent each, until the right ones show which block it was."""

    prints: list[bytes]
    origins: list[int]
    by: Lane | None = None  # who delivers it once more, alone


class Arriving:
    """The partial file of one wheel, of known size. Who calls holds the board's lock, unless a method says otherwise."""

    def __init__(self, store: Store, wheel: Wheel, size: int) -> None:
        self.store = store
        self.wheel = wheel
        self.size = size
        self._descriptor: int | None = None
        self._open_files()
        self.states = bytearray(DONE if state else FREE for state in self.map.states)
        self.origins = [EARLIER_RUN] * self.map.count
        self.resumed = sum(self.length(block) for block, state in enumerate(self.states) if state == DONE)
        self.done_bytes = self.resumed
        self.verified = bytearray(-(-size // PIECE_SIZE))
        self.first: list[range] = []  # blocks to be asked for before others: the wheel's directory
        self.costly: list[range] = []  # those of the members that take longest to unpack
        self.judging: set[int] = set()  # pieces that somebody is reading
        self.doubts: dict[int, Doubt] = {}  # pieces that were wrong, and whose senders are not known for sure
        self.liars = 0  # mirrors that have been named for it
        self.only: int | None = None  # the one lane that may deliver, while a liar is looked for
        self.suspects: list[tuple[bytes, int]] = []  # print and sender of each block, when the whole was wrong
        self.right = False  # its sha256 holds: nobody writes to it any more
        self.busy = 0  # threads that read or write the file just now
        self._flushing = threading.Lock()  # held while the files are flushed or closed
        self.hashed = 0  # pieces, in order
        self.digest = hashlib.sha256()
        self._free = self.states.count(FREE)

    def _open_files(self) -> None:
        path = self.store.partial(self.wheel)
        with self.store.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if os.fstat(self._descriptor).st_size != self.size:
                self.store.map_of(self.wheel).unlink(missing_ok=True)
                os.ftruncate(self._descriptor, self.size)
            self.map = BlockMap(self.store.map_of(self.wheel), self.size)

    def verified_until(self, offset: int) -> int:
        """The end of the verified bytes from ``offset`` on; ``offset`` itself when there are none. Needs no lock."""
        unverified = self.verified.find(0, offset // PIECE_SIZE)
        return self.size if unverified < 0 else max(offset, unverified * PIECE_SIZE)

    @property
    def complete(self) -> bool:
        """Every byte is there; whether they are the right ones is another question."""
        return self.done_bytes == self.size

    def _order(self, *, hurried: bool) -> Iterator[range]:
        yield from self.first
        if hurried:
            yield from self.costly
        yield range(len(self.states))

    def first_missing(self, *, hurried: bool) -> int:
        """The first block, in the order in which they are asked for, that is not there; their number when all are."""
        for blocks in self._order(hurried=hurried):
            here = self.states[blocks.start : blocks.stop]
            if missing := len(here.lstrip(_DONE)):
                return blocks.start + len(here) - missing
        return len(self.states)

    def length(self, block: int) -> int:
        """Bytes of ``block``; the last one is shorter."""
        return min(BLOCK, self.size - block * BLOCK)

    @property
    def free_bytes(self) -> int:
        """About as many bytes nobody has been asked for."""
        return self._free * BLOCK

    def ask(self, most: int, *, hurried: bool) -> tuple[int, int] | None:
        """Mark the first free blocks, in a row and at most ``most`` of them, as asked for: (start, end).

        ``hurried``: they come quicker than they can be unpacked, so what takes longest to unpack comes before the rest.
        """
        asked = (self._ask(FREE, blocks.start, blocks.stop, most) for blocks in self._order(hurried=hurried))
        return next(filter(None, asked), None)

    def ask_doubted(self, piece: int) -> tuple[int, int] | None:
        """The same for a piece that was wrong."""
        blocks = self.blocks_of(piece)
        return self._ask(DOUBTED, blocks.start, blocks.stop, len(blocks))

    def _ask(self, state: int, first: int, last: int, most: int) -> tuple[int, int] | None:
        start = self.states.find(state, first, last)
        if start < 0:
            return None
        end = start + 1
        while end < last and end - start < most and self.states[end] == state:
            end += 1
        if end - start == most and end // BLOCKS * BLOCKS > start:  # whole pieces: who sent a wrong one is known then
            end = end // BLOCKS * BLOCKS
        self.states[start:end] = bytes([ASKED]) * (end - start)
        self._free -= end - start
        return start, end

    def doubt(self, piece: int, doubt: Doubt) -> None:
        """``piece`` is to be delivered once more, by one mirror alone."""
        self.doubts[piece] = doubt
        self.forget(self.blocks_of(piece))

    def ask_another(self, piece: int) -> None:
        """The mirror that was to deliver ``piece`` alone cannot."""
        self.doubts[piece].by = None
        self.forget(self.blocks_of(piece))

    def start_writing(self, block: int) -> None:
        if self.states[block] in (FREE, DOUBTED):  # somebody who reads the whole file came first
            self._free -= 1
        self.states[block] = WRITING

    def give_back(self, blocks: Iterable[int]) -> None:
        """Those of ``blocks`` that nobody delivers any more are free again."""
        for block in blocks:
            if self.states[block] == ASKED:
                self._set_free(block)

    def forget(self, blocks: Iterable[int]) -> None:
        """The bytes of ``blocks`` are not believed: they are to be fetched again."""
        for block in blocks:
            if self.states[block] == DONE:
                with self.store.explained():
                    self.map.forget(block)
                self._set_free(block)
                self.origins[block] = EARLIER_RUN
                self.done_bytes -= self.length(block)
                self.verified[block // BLOCKS] = 0

    def _set_free(self, block: int) -> None:
        self.states[block] = DOUBTED if block // BLOCKS in self.doubts else FREE
        self._free += 1

    def has_written(self, block: int, origin: int) -> int | None:
        """``block`` is there; returns the piece that it completes, if it does."""
        self.map.set_written(block)
        self.states[block] = DONE
        self.origins[block] = origin
        self.done_bytes += self.length(block)
        piece = block // BLOCKS
        return piece if self.is_whole(piece) else None

    def is_whole(self, piece: int) -> bool:
        blocks = self.blocks_of(piece)
        return self.states.count(DONE, blocks.start, blocks.stop) == len(blocks)

    def blocks_of(self, piece: int) -> range:
        return range(piece * BLOCKS, min((piece + 1) * BLOCKS, len(self.states)))

    def start_over(self) -> None:
        """Hash from the beginning."""
        self.hashed = 0
        self.digest = hashlib.sha256()

    # what is done without the board's lock

    def write(self, block: int, data: memoryview) -> None:
        """Put a block in its place, and record that in the map. Raises NoSpace, InstallFailed. ``busy`` counts who calls."""
        offset, done = block * BLOCK, 0
        assert self._descriptor is not None
        with self.store.explained():
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], offset + done)
            self.map.record_written(block)

    def read(self, first: int, memory: memoryview) -> memoryview:
        """The bytes from block ``first`` on that fit into ``memory``, as they are on the disk."""
        assert self._descriptor is not None
        with self.store.explained():
            count = os.preadv(self._descriptor, [memory], first * BLOCK)
        return memory[:count]

    def _read_blocks(self, piece: int, memory: memoryview) -> Iterator[memoryview]:
        return (self.read(block, memory[:BLOCK]) for block in self.blocks_of(piece))

    def is_right(self, piece: int, memory: memoryview) -> bool:
        """By the digest beside the lock. ``memory``, at least a block of it, is used for reading."""
        digest = hashlib.sha256()
        for data in self._read_blocks(piece, memory):
            digest.update(data)
        return digest.hexdigest() == self.wheel.pieces[piece]

    def prints(self, piece: int, memory: memoryview) -> list[bytes]:
        """A short digest of each block, to compare with later ones."""
        return [hashlib.blake2b(data, digest_size=16).digest() for data in self._read_blocks(piece, memory)]

    def write_back(self) -> None:
        """Let the disk begin with what was written, and do not wait: what is flushed in the end is little then."""
        with self._flushing:
            if self._descriptor is not None:
                start_writing(self._descriptor, 0, 0)

    def flush(self, lock: threading.Condition) -> None:
        """What was written survives a loss of power from here on."""
        with self._flushing:
            if self._descriptor is None:
                return
            with lock:
                blocks = self.map.written()
            if not blocks:
                return
            with self.store.explained():
                os.fdatasync(self._descriptor)
                with lock:
                    self.map.set_flushed(blocks)

    def close(self, lock: threading.Condition) -> None:
        """Waits for those who read or write: a number of a closed file may soon be another file's."""
        with lock:
            while self.busy:
                lock.wait(0.02)
        with self._flushing:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self.map.close()
                self._descriptor = None


def settle(arrivings: Sequence[Arriving], lock: threading.Condition) -> BootstrapError | None:
    """Whatever happens from here on, what arrived is there: files that are right by their name, others for the next run.

    All in the end, not one by one: while a disk flushes, nothing else can be written to it. Returns the first failure.
    """
    failed: BootstrapError | None = None
    for arriving in arrivings:
        store, wheel = arriving.store, arriving.wheel
        try:
            with store.explained():
                try:
                    arriving.flush(lock)
                finally:
                    arriving.close(lock)
                if arriving.right:
                    store.keep(wheel)
                elif not arriving.done_bytes:
                    store.drop_partial(wheel)
        except BootstrapError as error:
            failed = failed or error
    return failed
