"""The engine: all files at once, each from every mirror that helps, every piece judged as it arrives.

The conductor's thread opens connections while they pay, replaces those that stall, and draws. Each connection is a thread
that takes ranges from the board. One thread hashes files in order, one makes progress durable. The calling thread waits,
so that Ctrl-C finds it holding no lock.
"""

from __future__ import annotations

import contextvars
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.alongside import Alongside, Compiler
from paddle_bootstrap.fetch.arriving import Arriving, settle
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.conductor import Conductor
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.judge import Judge
from paddle_bootstrap.fetch.lane import Lane, Line
from paddle_bootstrap.fetch.ledger import Ledger
from paddle_bootstrap.fetch.patience import Patience, Terms
from paddle_bootstrap.fetch.rate import Rate
from paddle_bootstrap.fetch.sharing import Run
from paddle_bootstrap.fetch.source import Body, Source, patiently
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import Brought
from paddle_bootstrap.lock.model import Wheel

WRITE_BACK_SECONDS = 2.0
FLUSH_SECONDS = 30.0  # of fetching that a loss of power may cost
JOIN_SECONDS = 2.0  # for threads to end


class Engine:
    """One fetch. Used once."""

    def __init__(self, patience: Patience, terms: Terms, compiler: Compiler | None = None) -> None:
        self.patience = patience
        self.terms = terms
        self.compiler = compiler

    def bring(self, wheels: Sequence[Wheel], sources: Sequence[Source], store: Store, *, unpack: bool) -> Brought:
        """Bring ``wheels`` into the store, unpacked too where their pieces can be judged.

        Raises NoSpace, InstallFailed; what arrived stays for the next run.
        """
        lanes = [
            Lane(
                number,
                source,
                self.terms.connections or source.mirror.connections,
                0.0 if number == 0 else math.inf,
            )
            for number, source in enumerate(sources)
        ]
        ledger = Ledger(lanes, self.patience)
        sized = [self._sized(wheel, lanes) for wheel in wheels]
        known = [wheel for wheel in sized if wheel.size is not None]
        if len(known) and any(wheel.size is None for wheel in wheels):
            store.require_space(known)
        arrivings = [Arriving(store, wheel, wheel.size or 0) for wheel in in_order(known)]
        board = Board(arrivings)
        alongside = Alongside(store, board, self.compiler) if unpack else None
        judge = Judge(board, lanes, alongside)
        work = _Work(board, ledger, judge, self.patience, Rate(self.terms.limit_rate))
        finished = False
        try:
            work.run()
            finished = True
        finally:
            work.close()
            try:
                if alongside:
                    alongside.close(finish=finished and all(arriving.right for arriving in arrivings))
            finally:
                failed = settle(arrivings, board.condition)
        if failed:
            raise failed
        return ledger.brought(arrivings, [wheel for wheel in sized if wheel.size is None])

    def _sized(self, wheel: Wheel, lanes: Sequence[Lane]) -> Wheel:
        """A lock that is not ours may lack a size: then the first mirror that has the file tells it."""
        for lane in lanes if wheel.size is None else ():
            if not lane.can_serve(wheel):
                continue
            try:
                return replace(wheel, size=patiently(lambda lane=lane: _size(lane, wheel), self.patience))  # type: ignore[misc]
            except MirrorFailure as failure:
                lane.lacks[wheel.filename] = failure
                if failure.kind == "unreachable":
                    lane.out = failure
        return wheel


def _size(lane: Lane, wheel: Wheel) -> int:
    connection = lane.source.connect()
    try:
        body = connection.open(lane.link_to(wheel, connection), 0, None)
        body.close()
    finally:
        connection.close()
    if not body.total:
        raise MirrorFailure("refused", "it does not tell the file's size, nor does the lock")
    return body.total


def in_order(wheels: Sequence[Wheel]) -> list[Wheel]:
    """The policy: what takes longest to unpack comes first."""
    return sorted(wheels, key=lambda wheel: -(wheel.size or 0))


class _Work:
    def __init__(self, board: Board, ledger: Ledger, judge: Judge, patience: Patience, rate: Rate) -> None:
        self.board = board
        self.ledger = ledger
        self.lanes = ledger.lanes
        self.patience = patience
        self.rate = rate
        self.judge = judge
        self._stop = threading.Event()
        self._lines: dict[threading.Thread, Line] = {}
        self._others: list[threading.Thread] = []

    def run(self) -> None:
        for arriving in self.board.arrivings:
            self.judge.hash_on(arriving)  # what an earlier run left
        conductor = Conductor(
            self.board, self.ledger, self.patience, self._open, limited=self.rate.per_second is not None
        )
        self._others = [self._thread(target) for target in (conductor.conduct, self.judge.run, self._flush)]
        for thread in self._others:
            thread.start()
        self._others[0].join()
        if self.board.error:
            raise self.board.error

    def close(self) -> None:
        self._stop.set()
        self.rate.end()
        self.board.end()
        self.judge.end()
        with self.board.condition:
            lines = dict(self._lines)
        for line in lines.values():
            line.connection.abort()
        for thread in self._others:
            if thread.ident:
                thread.join()
        ends = time.monotonic() + JOIN_SECONDS
        for thread, line in lines.items():
            if thread.ident and not line.connection.connecting:  # connecting cannot be ended, and leads to nothing now
                thread.join(max(0.0, ends - time.monotonic()))

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        context = contextvars.copy_context()  # progress is told to the same observer
        return threading.Thread(target=context.run, args=(self._guarded, target, *arguments), daemon=True)

    def _guarded(self, target: Callable[..., None], *arguments: object) -> None:
        try:
            target(*arguments)
        except BaseException as error:  # noqa: BLE001 raised again by ``run``
            self.board.end(error)

    # one connection

    def _open(self, lane: Lane) -> None:
        """The board's lock is held."""
        line = Line(lane, lane.source.connect())
        lane.lines.append(line)
        thread = self._thread(self._serve, line)
        self._lines[thread] = line
        thread.start()

    def _serve(self, line: Line) -> None:
        buffer = memoryview(bytearray(BLOCK))
        try:
            while run := self.board.next(line):
                self._carry(run, buffer)
        finally:
            with self.board.condition:
                self._lines.pop(threading.current_thread(), None)
                if line in line.lane.lines:
                    line.lane.end(line)
                line.lane.leaving.remove(line)
            line.connection.close()

    def _carry(self, run: Run, buffer: memoryview) -> None:
        line, before, held = run.line, run.line.meter.total, self._kept(run)
        failure: MirrorFailure | None = None
        with self.board.condition:
            self.ledger.begin(run)
        try:
            self._stream(run, buffer)
        except MirrorFailure as error:
            failure = error
        finally:
            line.asked_at = None
            self.board.release(run)
        pause = 0.0
        with self.board.condition:
            if line.kept and not run.whole and not line.cut:  # what is in the buffer counts as long as that is kept
                run.gained += max(0, line.kept[2] - held)
            self.ledger.end(run, line.meter.total - before)
            if failure and not line.cut and not self.board.over:  # else it was judged before, or we ended it
                pause = self.ledger.judge(run, failure)
            self.board.condition.notify_all()
        if pause:
            self._stop.wait(pause)

    def _stream(self, run: Run, buffer: memoryview) -> None:
        lane, wheel = run.line.lane, run.arriving.wheel
        known = lane.knows(wheel.filename)
        link = lane.link_to(wheel, run.line.connection)
        run.learned = not known
        size = run.arriving.size
        kept = 0 if run.whole else self._kept(run)
        start, end = (0, size) if run.whole else (run.pos * BLOCK + kept, min(run.end * BLOCK, size))
        asked = time.monotonic()
        body = run.line.connection.open(link, start, None if end == size and start == 0 else end)
        try:
            if body.total is not None and body.total != size:
                raise MirrorFailure("wrong", f"its file has {body.total} bytes, the lock says {size}")
            if body.start != start:
                if not self.board.become_whole(run):
                    return
                kept = 0
            run.line.latency = time.monotonic() - asked
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
                count = body.read_into(buffer[filled : min(length, filled + self.rate.at_once)])
                if not count:
                    where = progress.human_bytes(block * BLOCK + filled)
                    raise MirrorFailure("broken", f"the transfer was cut at {where}", retry=True)
                filled += count
                line.meter.total += count
                line.heard = time.monotonic()
                if self.rate.per_second:
                    line.throttled = True
                    self.rate.wait_for(count)
                    line.heard, line.throttled = time.monotonic(), False
            line.kept, filled = None, 0
            piece = self.board.commit(run, block, buffer[:length])
            if piece is not None:
                self.judge.look_at(run.arriving, piece, buffer)

    def _flush(self) -> None:
        """Flushing can hold up everything that writes to the disk, for as long as the disk takes: not too often."""
        flushed = time.monotonic()
        while not self._stop.wait(WRITE_BACK_SECONDS):
            late = time.monotonic() - flushed > FLUSH_SECONDS
            for arriving in self.board.arrivings:
                if late:
                    arriving.flush(self.board.condition)
                else:
                    arriving.write_back()
            flushed = time.monotonic() if late else flushed
