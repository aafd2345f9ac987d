"""Who fetches what: every connection of every mirror takes its next range of blocks from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from paddle_bootstrap.fetch.arriving import ASKED, BLOCKS, DONE, FREE, WRITING, Arriving
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.lane import Line

AHEAD = 2.0  # seconds of work that a connection takes at once
LONGEST = 16 * BLOCKS  # blocks
UNKNOWN_SPEED = 1e6  # bytes per second, of a connection that has not shown any yet
WORTH = 0.3  # seconds that a transfer must still take to be shared
PATROL = 0.1  # seconds between looks for something to share


@dataclass(eq=False)
class Run:
    """One request: blocks from ``pos`` up to ``end``, which others may take from its end."""

    arriving: Arriving
    line: Line
    pos: int
    end: int
    whole: bool = False  # the mirror knows no ranges: all is read, and what is missing is kept
    alone: bool = False  # a piece that nobody else may touch, so that its sender is known
    hedged: bool = False  # somebody else fetches the same
    gained: int = 0  # bytes that were missing before

    @property
    def bytes_left(self) -> int:
        return (self.end - self.pos) * BLOCK

    @property
    def seconds_left(self) -> float:
        speed = self.line.meter.speed or (UNKNOWN_SPEED if self.line.meter.total == 0 else 1.0)
        return self.bytes_left / speed


class Board:
    """All files of one fetch. Its condition is the one lock of the engine."""

    def __init__(self, arrivings: Sequence[Arriving]) -> None:
        self.condition = threading.Condition()
        self.arrivings = list(arrivings)  # in the order in which they matter
        self.runs: list[Run] = []
        self.over = False
        self.error: BaseException | None = None

    def end(self, error: BaseException | None = None) -> None:
        """Nobody gets work any more."""
        with self.condition:
            self.over = True
            self.error = self.error or error
            self.condition.notify_all()

    def next(self, line: Line) -> Run | None:
        """The next range for ``line``; waits for one. None: this connection is not needed any more."""
        with self.condition:
            while not self.over and not line.lane.out and self._wanted(line):
                run = self._free(line) or self._shared(line)
                if run:
                    self.runs.append(run)
                    return run
                self.condition.wait(PATROL)
            return None

    def _wanted(self, line: Line) -> bool:
        lane = line.lane
        return len(lane.lines) <= lane.cap and time.monotonic() >= lane.resting_until

    def _free(self, line: Line) -> Run | None:
        for arriving in self.arrivings:
            if not arriving.has_free or not self._may(line, arriving):
                continue
            if arriving.wheel.filename in line.lane.no_ranges:
                if not any(run.whole and run.line.lane is line.lane and run.arriving is arriving for run in self.runs):
                    return Run(arriving, line, 0, len(arriving.states), whole=True)
                continue
            if (piece := arriving.doubtful()) is not None:
                blocks = arriving.blocks_of(piece)
                arriving.claim(blocks)
                return Run(arriving, line, blocks.start, blocks.stop, alone=True)
            if asked := arriving.ask(self._most(line, arriving)):
                return Run(arriving, line, *asked)
        return None

    def _may(self, line: Line, arriving: Arriving) -> bool:
        only = arriving.only
        return line.lane.can_serve(arriving.wheel) and only in (None, line.lane.number) and not arriving.named

    def _most(self, line: Line, arriving: Arriving) -> int:
        """Blocks for some seconds, and no more than a fair part of what is left, so that all end together."""
        wanted = int(line.meter.speed * AHEAD / BLOCK)
        lines = max(1, sum(len(run.line.lane.lines) > 0 for run in self.runs))
        fair = (arriving.size - arriving.done_bytes) // BLOCK // lines
        return max(1, min(max(wanted, BLOCKS), LONGEST, max(fair, BLOCKS // 2)))

    def _shared(self, line: Line) -> Run | None:
        """Part of the slowest remaining transfer: its second half, or all of it once more when too little is left."""
        others = [
            run
            for run in self.runs
            if run.line is not line
            and not run.alone
            and run.pos < run.end
            and self._may(line, run.arriving)
            and run.arriving.wheel.filename not in line.lane.no_ranges
        ]
        if not others:
            return None
        slowest = max(others, key=lambda run: run.seconds_left)
        mine = line.meter.speed or line.lane.meter.speed / max(1, len(line.lane.lines)) or UNKNOWN_SPEED
        left = slowest.end - slowest.pos - 1  # the block in the air stays with it
        if slowest.seconds_left < WORTH:
            return None
        if left >= 2 and not slowest.whole:
            theirs = slowest.bytes_left / slowest.seconds_left
            part = max(1, min(left, round(left * mine / (mine + theirs))))
            slowest.end -= part
            return Run(slowest.arriving, line, slowest.end, slowest.end + part)
        if not slowest.hedged and slowest.seconds_left > 2 * slowest.bytes_left / mine + WORTH:
            slowest.hedged = True
            return Run(slowest.arriving, line, slowest.pos, slowest.end, hedged=True)
        return None

    def release(self, run: Run) -> None:
        """``run`` has ended; what it did not deliver is free again, unless somebody else fetches it."""
        with self.condition:
            self.runs.remove(run)
            if not run.whole:
                held = {
                    block
                    for other in self.runs
                    if other.arriving is run.arriving and not other.whole
                    for block in range(other.pos, other.end)
                }
                run.arriving.give_back(block for block in range(run.pos, run.end) if block not in held)
            self.condition.notify_all()

    def begin(self, run: Run) -> int | None:
        """The block that the next bytes belong to; None when nothing of ``run`` is missing any more."""
        with self.condition:
            states = run.arriving.states
            if self.over or run.arriving.named or run.line.lane.out or run.pos >= run.end:
                return None
            missing = any(states.find(state, run.pos, run.end) >= 0 for state in (FREE, ASKED))
            return run.pos if missing else None

    def commit(self, run: Run, block: int, data: memoryview) -> int | None:
        """Keep ``data`` as ``block`` unless it is there; returns the piece that it completes."""
        arriving = run.arriving
        with self.condition:
            run.pos = block + 1
            if self.over or arriving.named or arriving.states[block] in (WRITING, DONE):
                return None
            arriving.start_writing(block)
        arriving.write(block, data)
        with self.condition:
            run.gained += len(data)
            return arriving.has_written(block, run.line.lane.number)

    def become_whole(self, run: Run) -> bool:
        """The mirror sends the file from its first byte, whatever it was asked; False when it is doing so already."""
        with self.condition:
            lane = run.line.lane
            lane.no_ranges.add(run.arriving.wheel.filename)
            others = (other for other in self.runs if other is not run)
            if any(other.whole and other.line.lane is lane and other.arriving is run.arriving for other in others):
                return False
            run.arriving.give_back(range(run.pos, run.end))
            run.pos, run.end, run.whole = 0, len(run.arriving.states), True
            self.condition.notify_all()
            return True
