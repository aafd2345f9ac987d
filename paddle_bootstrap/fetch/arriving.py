"""One wheel on its way: which blocks are there, which are asked for, from whom each came, and what they add up to."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from paddle_bootstrap.fetch.block_map import BLOCK, BlockMap
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel

FREE, ASKED, WRITING, DONE = range(4)
EARLIER_RUN = -1  # an origin
BLOCKS = PIECE_SIZE // BLOCK  # of a piece


@dataclass(frozen=True)
class Doubt:
    """A piece that was wrong, with its bytes and who sent each block, until the right ones show which block it was."""

    data: bytes
    origins: tuple[int, ...]


class Arriving:
    """The partial file of one wheel, of known size. Who calls holds the board's lock, but for ``write`` and ``read``."""

    def __init__(self, store: Store, wheel: Wheel, size: int) -> None:
        self.store = store
        self.wheel = wheel
        self.size = size
        path = store.partial(wheel)
        with store.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fresh = os.fstat(self._descriptor).st_size != size
            os.ftruncate(self._descriptor, size)
            if fresh:
                store.map_of(wheel).unlink(missing_ok=True)
            self.map = BlockMap(store.map_of(wheel), size)
        self.states = bytearray(DONE if state else FREE for state in self.map.states)
        self.origins = [EARLIER_RUN] * self.map.count
        self.resumed = sum(self.length(block) for block, state in enumerate(self.states) if state == DONE)
        self.done_bytes = self.resumed
        self.verified = bytearray(-(-size // PIECE_SIZE))
        self.doubts: dict[int, Doubt] = {}  # pieces that were wrong, and whose senders are not known for sure
        self.only: int | None = None  # the one lane that may deliver, while a liar is looked for
        self.suspects: list[tuple[bytes, int]] | None = (
            None  # digest and sender of each block, when the whole was wrong
        )
        self.named = False  # verified, and no longer a partial file
        self._open = threading.Lock()  # held while the files are flushed or closed
        self.hashed = 0  # pieces, in order
        self.digest = hashlib.sha256()
        self._free = self.states.count(FREE)
        self._hint = 0  # no block before it is free

    @property
    def complete(self) -> bool:
        """Every byte is there; whether they are the right ones is another question."""
        return self.done_bytes == self.size

    def length(self, block: int) -> int:
        """Bytes of ``block``; the last one is shorter."""
        return min(BLOCK, self.size - block * BLOCK)

    @property
    def has_free(self) -> bool:
        return self._free > 0

    @property
    def free_bytes(self) -> int:
        """About as many bytes nobody has been asked for."""
        return self._free * BLOCK

    def ask(self, most: int) -> tuple[int, int] | None:
        """Mark the first free blocks, in a row and at most ``most`` of them, as asked for: (start, end)."""
        start = self.states.find(FREE, self._hint)
        self._hint = start if start >= 0 else len(self.states)
        if start < 0:
            return None
        end = start + 1
        while end < len(self.states) and end - start < most and self.states[end] == FREE:
            end += 1
        for block in range(start, end):
            self.states[block] = ASKED
        self._free -= end - start
        return start, end

    def claim(self, blocks: range) -> None:
        """Mark free ``blocks`` as asked for."""
        for block in blocks:
            if self.states[block] == FREE:
                self.states[block] = ASKED
                self._free -= 1

    def doubtful(self) -> int | None:
        """A piece to be fetched from one mirror alone, that is free."""
        for piece in self.doubts:
            blocks = self.blocks_of(piece)
            if self.states.count(FREE, blocks.start, blocks.stop) == len(blocks):
                return piece
        return None

    def start_writing(self, block: int) -> None:
        if self.states[block] == FREE:  # somebody who reads the whole file came first
            self._free -= 1
        self.states[block] = WRITING

    def give_back(self, blocks: Iterable[int]) -> None:
        """Those of ``blocks`` that nobody delivers any more are free again."""
        for block in blocks:
            if self.states[block] == ASKED:
                self.states[block] = FREE
                self._free += 1
                self._hint = min(self._hint, block)

    def write(self, block: int, data: memoryview) -> None:
        """Put a block in its place. Raises NoSpace, InstallFailed."""
        offset, done = block * BLOCK, 0
        assert self._descriptor is not None
        with self.store.explained():
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], offset + done)

    def has_written(self, block: int, origin: int) -> int | None:
        """``block`` is there; returns the piece that it completes, if it does."""
        with self.store.explained():
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

    def read(self, piece: int) -> bytes:
        """The bytes of ``piece``, as they are on the disk."""
        assert self._descriptor is not None
        with self.store.explained():
            return os.pread(self._descriptor, PIECE_SIZE, piece * PIECE_SIZE)

    def is_right(self, piece: int, data: bytes) -> bool:
        """By the digest beside the lock; without one, nothing is known of a single piece."""
        pieces = self.wheel.pieces
        return not pieces or hashlib.sha256(data).hexdigest() == pieces[piece]

    def origins_of(self, piece: int) -> Counter[int]:
        """Who delivered ``piece``: origin -> blocks."""
        blocks = self.blocks_of(piece)
        return Counter(self.origins[blocks.start : blocks.stop])

    def forget(self, piece: int) -> None:
        """The bytes of ``piece`` are not believed: they are to be fetched again."""
        self.forget_blocks(self.blocks_of(piece))
        self.verified[piece] = 0

    def forget_blocks(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            if self.states[block] == DONE:
                with self.store.explained():
                    self.map.forget(block)
                self.states[block] = FREE
                self.origins[block] = EARLIER_RUN
                self.done_bytes -= self.length(block)
                self._free += 1
                self._hint = min(self._hint, block)

    def start_over(self) -> None:
        """Hash from the beginning."""
        self.hashed = 0
        self.digest = hashlib.sha256()

    def flush(self, lock: threading.Condition) -> None:
        """What was written survives a loss of power from here on. The board's ``lock`` is not held."""
        with self._open:
            if self._descriptor is None:
                return
            with lock:
                blocks = self.map.written()
            with self.store.explained():
                os.fdatasync(self._descriptor)
                with lock:
                    self.map.set_flushed(blocks)

    def close(self) -> None:
        with self._open:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self.map.close()
                self._descriptor = None
