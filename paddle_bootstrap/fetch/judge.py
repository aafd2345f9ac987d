"""What has arrived, judged: each piece by its digest as soon as it is whole, each file by its sha256, in order."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

from paddle_bootstrap import progress
from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.fetch import blame
from paddle_bootstrap.fetch.alongside import Alongside
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.lane import Lane
from paddle_bootstrap.lock.model import PIECE_SIZE


class Judge:
    """``run`` is a thread of its own; connections call ``look_at``."""

    def __init__(self, board: Board, lanes: Sequence[Lane], alongside: Alongside | None) -> None:
        self.board = board
        self.lanes = lanes
        self.alongside = alongside
        self._queue: SimpleQueue[Arriving | None] = SimpleQueue()

    def look_at(self, arriving: Arriving, piece: int, memory: memoryview) -> None:
        """``piece`` has just become whole; ``memory`` may be used to read it."""
        if arriving.wheel.pieces:
            self.judge(arriving, piece, memory)
        self.hash_on(arriving)

    def hash_on(self, arriving: Arriving) -> None:
        """There may be something to hash."""
        self._queue.put(arriving)

    def end(self) -> None:
        """``run`` returns soon."""
        self._queue.put(None)

    def judge(self, arriving: Arriving, piece: int, memory: memoryview) -> None:
        """Compare a whole piece with its digest. While that goes on nobody can write to it, nor judge it as well."""
        with self.board.condition:
            if self.board.over or arriving.verified[piece] or piece in arriving.judging:
                return
            if not arriving.is_whole(piece):
                return
            arriving.judging.add(piece)
            arriving.busy += 1
        try:
            try:
                right = arriving.is_right(piece, memory)
                prints = arriving.prints(piece, memory) if not right or piece in arriving.doubts else []
            finally:
                with self.board.condition:
                    arriving.judging.discard(piece)
            with self.board.condition:
                tell = blame.right_piece if right else blame.wrong_piece
                tell(arriving, piece, prints, self.lanes)
                self.board.condition.notify_all()
        finally:
            with self.board.condition:
                arriving.busy -= 1
        if right and self.alongside:
            self.alongside.consider(arriving)

    def run(self) -> None:
        """The digest of each file, in order, from what is on the disk."""
        memory = memoryview(bytearray(PIECE_SIZE))
        while (arriving := self._queue.get()) is not None:
            self._hash_on(arriving, memory)

    def _hash_on(self, arriving: Arriving, memory: memoryview) -> None:
        while not self.board.over and not arriving.right and arriving.hashed < len(arriving.verified):
            piece = arriving.hashed
            if not arriving.is_whole(piece):
                return
            if arriving.wheel.pieces and not arriving.verified[piece]:
                self.judge(arriving, piece, memory)  # an earlier run left it
                if not arriving.verified[piece]:  # wrong, or somebody else reads it and tells us
                    return
            arriving.digest.update(arriving.read(arriving.blocks_of(piece).start, memory))
            arriving.hashed += 1
        if not self.board.over and not arriving.right and arriving.complete:
            self._finish(arriving, memory)

    def _finish(self, arriving: Arriving, memory: memoryview) -> None:
        right = arriving.digest.hexdigest() == arriving.wheel.sha256
        if not right and arriving.wheel.pieces:
            raise DamagedLock(f"the piece digests of {arriving.wheel.filename} are not those of its sha256")
        prints: list[bytes] = []
        if arriving.suspects if right else not arriving.suspects and len(set(arriving.origins)) > 1:
            prints = [found for piece in range(len(arriving.verified)) for found in arriving.prints(piece, memory)]
        if right:
            self._keep(arriving, prints)
            return
        with self.board.condition:
            arriving.suspects = arriving.suspects or list(zip(prints, arriving.origins, strict=bool(prints)))
            blame.whole_file(arriving, self.lanes)
            self.board.condition.notify_all()

    def _keep(self, arriving: Arriving, prints: list[bytes]) -> None:
        progress.transfer(arriving.wheel.filename, arriving.size, arriving.size)
        with self.board.condition:
            if arriving.suspects:
                blame.settle_whole(arriving, prints, self.lanes)
            arriving.right = True
            self.board.condition.notify_all()
        if self.alongside:
            self.alongside.keep(arriving)
