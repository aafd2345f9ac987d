"""The engine: all files at once, each from every mirror that helps, every piece judged as it arrives.

The conductor (the calling thread) opens connections while they pay, replaces those that stall, and draws. Each connection is a
thread that takes ranges from the board. One thread hashes files in order, one makes progress durable.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from queue import SimpleQueue

from paddle_bootstrap import progress
from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.fetch import blame
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.board import Board, Run
from paddle_bootstrap.fetch.conductor import Conductor
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import Lane, Line
from paddle_bootstrap.fetch.ledger import Ledger
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Body, Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import Brought
from paddle_bootstrap.lock.model import Wheel

FLUSH_SECONDS = 2.0
JOIN_SECONDS = 2.0  # for threads to end


class Engine:
    """One fetch. Used once."""

    def __init__(self, patience: Patience, caps: Mapping[str, int], default_cap: int) -> None:
        self.patience = patience
        self._caps = caps
        self._default_cap = default_cap

    def bring(self, wheels: Sequence[Wheel], sources: Sequence[Source], store: Store) -> Brought:
        """Bring ``wheels`` into the store. Raises NoSpace, InstallFailed; what arrived stays for the next run."""
        now = time.monotonic()
        lanes = [
            Lane(
                number, source, self._caps.get(source.mirror.name, self._default_cap), now + number * self.patience.join
            )
            for number, source in enumerate(sources)
        ]
        ledger = Ledger(lanes, self.patience)
        sized = [self._sized(wheel, lanes, ledger) for wheel in wheels]
        arrivings = [Arriving(store, wheel, wheel.size or 0) for wheel in in_order(sized)]
        work = _Work(Board(arrivings), lanes, ledger, store, self.patience)
        try:
            work.run()
        finally:
            work.close()
        return ledger.brought(arrivings)


    def _sized(self, wheel: Wheel, lanes: Sequence[Lane], ledger: Ledger) -> Wheel:
        """A lock that is not ours may lack a size: then the first mirror that has the file tells it."""
        for lane in lanes if wheel.size is None else ():
            connection = lane.source.connect()
            try:
                body = connection.open(lane.link_to(wheel, connection), 0, None)
                body.close()
                if body.total:
                    return replace(wheel, size=body.total)
                lane.lacks[wheel.filename] = MirrorFailure("refused", "it does not tell the file's size, nor does the lock")
            except MirrorFailure as failure:
                lane.lacks[wheel.filename] = failure
            finally:
                connection.close()
        return wheel


def in_order(wheels: Sequence[Wheel]) -> list[Wheel]:
    """The policy: what takes longest to unpack comes first."""
    return sorted(wheels, key=lambda wheel: -(wheel.size or 0))


class _Work:
    def __init__(self, board: Board, lanes: Sequence[Lane], ledger: Ledger, store: Store, patience: Patience) -> None:
        self.board = board
        self.lanes = lanes
        self.ledger = ledger
        self.store = store
        self.patience = patience
        self._to_hash: SimpleQueue[Arriving | None] = SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        for target in (self._hash, self._flush):
            self._start(target)
        for arriving in self.board.arrivings:
            self._to_hash.put(arriving)  # what an earlier run left
        Conductor(self.board, self.lanes, self.patience, self._open).conduct()
        if self.board.error:
            raise self.board.error

    def close(self) -> None:
        self.board.end()
        self._stop.set()
        self._to_hash.put(None)
        for lane in self.lanes:
            for line in list(lane.lines):
                line.connection.abort()
        for thread in self._threads[:2]:
            thread.join()
        ends = time.monotonic() + JOIN_SECONDS
        for thread in self._threads[2:]:  # one that still waits for a connection will find nothing to do
            thread.join(max(0.0, ends - time.monotonic()))
        for arriving in self.board.arrivings:
            arriving.flush(self.board.condition)
            arriving.close()
            if not arriving.named and not arriving.done_bytes:
                self.store.drop_partial(arriving.wheel)

    def _start(self, target: object, *arguments: object) -> None:
        context = contextvars.copy_context()  # progress is told to the same observer
        thread = threading.Thread(target=context.run, args=(self._guarded, target, *arguments), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, target: object, *arguments: object) -> None:
        try:
            target(*arguments)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 raised again by the conductor's caller
            self.board.end(error)

    # one connection

    def _open(self, lane: Lane) -> None:
        """The board's lock is held."""
        line = Line(lane, lane.source.connect())
        lane.lines.append(line)
        lane.most_lines = max(lane.most_lines, len(lane.lines))
        self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        buffer = memoryview(bytearray(BLOCK))
        try:
            while run := self.board.next(line):
                self._carry(run, buffer)
        finally:
            with self.board.condition:
                line.lane.lines.remove(line)
                line.lane.ended_bytes += line.meter.total
            line.connection.close()

    def _carry(self, run: Run, buffer: memoryview) -> None:
        line, before, held = run.line, run.line.meter.total, self._kept(run)
        began = time.monotonic()
        failure: MirrorFailure | None = None
        try:
            line.asked_at, line.cut, line.slow_since = began, None, None
            self._stream(run, buffer)
        except MirrorFailure as error:
            failure = MirrorFailure("broken", line.cut, retry=True) if line.cut else error
        finally:
            line.asked_at = None
            self.board.release(run)
        delivered = line.meter.total - before
        with self.board.condition:
            run.gained += 0 if run.whole or line.kept is None else line.kept[2] - held
            self.ledger.note(run, delivered, began)
            pause = self.ledger.judge(run, failure) if failure else 0.0
            self.board.condition.notify_all()
        if pause:
            self._stop.wait(pause)

    def _stream(self, run: Run, buffer: memoryview) -> None:
        link = run.line.lane.link_to(run.arriving.wheel, run.line.connection)
        size = run.arriving.size
        kept = 0 if run.whole else self._kept(run)
        start, end = (0, size) if run.whole else (run.pos * BLOCK + kept, min(run.end * BLOCK, size))
        body = run.line.connection.open(link, start, None if end == size and start == 0 else end)
        try:
            if body.total is not None and body.total != size:
                raise MirrorFailure("wrong", f"its file has {body.total} bytes, the lock says {size}")
            if body.start != start:
                if not self.board.become_whole(run):
                    return
                kept = 0
            self._read(run, body, buffer, kept)
        finally:
            body.close()

    def _kept(self, run: Run) -> int:
        """Bytes of the first block that this connection still holds, since its last transfer was cut inside it."""
        file, block, count = run.line.kept or ("", 0, 0)
        return count if (file, block) == (run.arriving.wheel.filename, run.pos) else 0

    def _read(self, run: Run, body: Body, buffer: memoryview, filled: int) -> None:
        """Bytes to blocks; the first ``filled`` bytes of the first block are in ``buffer`` already."""
        line = run.line
        while (block := self.board.begin(run)) is not None:
            length = run.arriving.length(block)
            while filled < length:
                line.kept = (run.arriving.wheel.filename, block, filled)
                count = body.read_into(buffer[filled:length])
                if not count:
                    where = progress.human_bytes(block * BLOCK + filled)
                    raise MirrorFailure("broken", f"the transfer was cut at {where}", retry=True)
                filled += count
                line.meter.total += count
                line.heard = time.monotonic()
            line.kept, filled = None, 0
            piece = self.board.commit(run, block, buffer[:length])
            if piece is not None:
                self._judge_piece(run.arriving, piece)

    # what arrived

    def _judge_piece(self, arriving: Arriving, piece: int) -> None:
        data = arriving.read(piece)
        right = arriving.is_right(piece, data)
        with self.board.condition:
            if right:
                arriving.verified[piece] = 1
                blame.settle(arriving, piece, data, self.lanes)
            else:
                blame.doubt(arriving, piece, data, self.lanes)
        self._to_hash.put(arriving)

    def _hash(self) -> None:
        """The digest of each file, in order, from what is on the disk."""
        while (arriving := self._to_hash.get()) is not None:
            while not arriving.named and arriving.hashed < len(arriving.verified):
                piece = arriving.hashed
                if not arriving.is_whole(piece):
                    break
                data = arriving.read(piece)
                if not arriving.verified[piece] and not self._believed(arriving, piece, data):
                    break
                arriving.digest.update(data)
                arriving.hashed += 1
            if not arriving.named and arriving.hashed == len(arriving.verified) and arriving.complete:
                self._finish(arriving)

    def _believed(self, arriving: Arriving, piece: int, data: bytes) -> bool:
        """A piece that an earlier run left."""
        if arriving.is_right(piece, data):
            arriving.verified[piece] = 1
            return True
        with self.board.condition:
            if not arriving.verified[piece] and arriving.is_whole(piece):
                blame.doubt(arriving, piece, data, self.lanes)
                self.board.condition.notify_all()
        return False

    def _finish(self, arriving: Arriving) -> None:
        if arriving.digest.hexdigest() == arriving.wheel.sha256:
            self._keep(arriving)
        elif arriving.wheel.pieces:
            raise DamagedLock(f"the piece digests of {arriving.wheel.filename} are not those of its sha256")
        else:
            with self.board.condition:
                blame.whole_file(arriving, self.lanes)
                self.board.condition.notify_all()

    def _keep(self, arriving: Arriving) -> None:
        arriving.flush(self.board.condition)
        with self.board.condition:
            blame.settle_whole(arriving, self.lanes)
            arriving.named = True
        arriving.close()
        self.store.keep(arriving.wheel)
        with self.board.condition:
            self.ledger.finished(arriving)
            self.board.condition.notify_all()

    def _flush(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            for arriving in self.board.arrivings:
                arriving.flush(self.board.condition)
