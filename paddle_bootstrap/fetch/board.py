"""Who fetches what: every connection of every mirror takes its next range of blocks from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from paddle_bootstrap.fetch.arriving import ASKED, BLOCKS, DONE, DOUBTED, FREE, WRITING, Arriving
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.lane import Line

AHEAD = 2.0  # seconds of work that a connection takes at once, at most
WORK = 10  # times the wait for an answer: so much work makes up for it
LONGEST = 16 * BLOCKS  # blocks
LEAST = 4  # blocks
SHORT = 1.0  # seconds of work that a slow connection takes at once, less than a piece
UNKNOWN_SPEED = 1e6  # bytes per second, of a connection that has not shown any yet
WORTH = 0.15  # seconds that a transfer must still take to be shared
TWICE = 0.3  # seconds that it must still take, and longer than anew, for the same bytes to be asked for once more
UNPACKED = 1.3e8  # bytes per second of a wheel that two cores unpack (measured)
PATROL = 0.05  # seconds between looks for something to share
LAG = 3.0  # seconds that the first missing bytes of a file may still take: digest and unpacking wait for them
SO_FAR = 0.4  # seconds that they have taken already
QUICKER = 3  # times as quick is who helps with them


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
    learned: bool = False  # where the mirror has the file

    @property
    def bytes_left(self) -> int:
        return (self.end - self.pos) * BLOCK

    def seconds_left(self, now: float) -> float:
        """At the speed it shows; one that is silent will take at least as long again as it has been waited for."""
        line = self.line
        waited = now - max(line.heard, line.asked_at or now)
        speed = UNKNOWN_SPEED if line.meter.total == 0 else max(line.meter.lately, 1.0)
        return max(self.bytes_left / speed, waited)


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
            while not self.over and not line.lane.out and not line.cut and self._wanted(line):
                run = self._lagging(line) or self._free(line) or self._shared(line)
                if run:
                    self.runs.append(run)
                    line.asked_at, line.busy_with = time.monotonic(), run.arriving.wheel.filename
                    return run
                self.condition.wait(PATROL)
            line.cut = line.cut or "it is not needed"  # counted out at once, not when its thread has ended
            if line in line.lane.lines:
                line.lane.end(line)
            return None

    def _wanted(self, line: Line) -> bool:
        lane = line.lane
        return len(lane.lines) <= lane.cap and time.monotonic() >= lane.resting_until

    def _lagging(self, line: Line) -> Run | None:
        """Part of a slow transfer of what will soon be the first missing bytes: unpacking and the digest wait for those."""
        now, mine = time.monotonic(), self._speed(line)
        for arriving in self.arrivings:
            first, total = arriving.first_missing(hurried=self._hurried(arriving)), self._total_speed(arriving)
            for other in sorted(self.runs, key=lambda run: run.pos):
                if other.arriving is not arriving or other.end <= first or not self._may_share(line, other):
                    continue
                left, so_far = other.seconds_left(now), now - (other.line.asked_at or now)
                needed = (other.pos - first) * BLOCK / total if total else 0.0
                if so_far > SO_FAR and left > max(LAG, needed) and mine * left > QUICKER * other.bytes_left:
                    return self._part_of(other, line, now)
        return None

    def _total_speed(self, arriving: Arriving) -> float:
        """Bytes per second that come of a file."""
        return sum(run.line.meter.speed for run in self.runs if run.arriving is arriving)

    def _hurried(self, arriving: Arriving) -> bool:
        return self._total_speed(arriving) > UNPACKED

    def _free(self, line: Line) -> Run | None:
        for arriving in self.arrivings:
            if not arriving.free_bytes or not self._may(line, arriving):
                continue
            if arriving.wheel.filename in line.lane.no_ranges:
                run = self._whole(line, arriving)
            else:
                run = self._doubted(line, arriving)
                if run is None and (asked := arriving.ask(self._most(line, arriving), hurried=self._hurried(arriving))):
                    run = Run(arriving, line, *asked)
            if run:
                return run
        return None

    def _whole(self, line: Line, arriving: Arriving) -> Run | None:
        if self._reads_whole(line, arriving):
            return None
        self._take_doubts(line, arriving)
        return Run(arriving, line, 0, len(arriving.states), whole=True)

    def _take_doubts(self, line: Line, arriving: Arriving) -> None:
        for doubt in arriving.doubts.values():
            doubt.by = doubt.by or line.lane

    def _doubted(self, line: Line, arriving: Arriving) -> Run | None:
        """Until a liar is named one doubt is looked into at a time: its answer tells whom to ask for the others."""
        for piece, doubt in arriving.doubts.items():
            by = doubt.by
            if by and not (by.lines and by.can_serve(arriving.wheel)) and piece not in arriving.judging:
                arriving.ask_another(piece)
            waits = doubt.by is None and not arriving.liars and any(other.by for other in arriving.doubts.values())
            if not waits and doubt.by in (None, line.lane) and (asked := arriving.ask_doubted(piece)):
                doubt.by = line.lane
                return Run(arriving, line, *asked, alone=True)
        return None

    def _may(self, line: Line, arriving: Arriving) -> bool:
        only = arriving.only
        return line.lane.can_serve(arriving.wheel) and only in (None, line.lane.number) and not arriving.named

    def _reads_whole(self, line: Line, arriving: Arriving) -> bool:
        """Another connection to the same mirror reads the file from its first byte."""
        lane = line.lane
        return any(
            run.whole and run.line is not line and run.line.lane is lane and run.arriving is arriving
            for run in self.runs
        )

    def _most(self, line: Line, arriving: Arriving) -> int:
        """A piece, or as much as makes up for waiting; no more than a fair part of what is left, so that all end together.

        What is asked for in small parts comes in its order, as unpacking needs it, and little is lost with a bad mirror.
        """
        wanted = int(line.meter.speed * min(AHEAD, WORK * line.latency) / BLOCK)
        least = min(BLOCKS, max(LEAST, int(line.meter.speed * SHORT / BLOCK))) if line.meter.speed else BLOCKS
        fair = (arriving.size - arriving.done_bytes) // BLOCK // max(1, len(self.runs))
        return max(1, min(max(wanted, least), LONGEST, max(fair, BLOCKS // 2)))

    def _shared(self, line: Line) -> Run | None:
        """Part of the slowest remaining transfer: its second half, or all of it once more when too little is left."""
        now = time.monotonic()
        others = [run for run in self.runs if self._may_share(line, run)]
        for other in sorted(others, key=lambda run: -run.seconds_left(now)):
            if other.seconds_left(now) < WORTH:
                return None
            if run := self._part_of(other, line, now):
                return run
        return None

    def _may_share(self, line: Line, run: Run) -> bool:
        return (
            run.line is not line
            and not run.alone
            and run.pos < run.end
            and self._may(line, run.arriving)
            and run.arriving.wheel.filename not in line.lane.no_ranges
        )

    def _speed(self, line: Line) -> float:
        """What it has shown; one that has shown nothing is as quick as the others of its mirror."""
        return line.meter.speed or line.lane.meter.speed / max(1, len(line.lane.lines)) or UNKNOWN_SPEED

    def _part_of(self, other: Run, line: Line, now: float) -> Run | None:
        mine = self._speed(line)
        left = other.end - other.pos - 1  # the block in the air stays with it
        if left >= 2 and not other.whole and not other.hedged:
            theirs = other.bytes_left / other.seconds_left(now)
            part = max(1, min(left, round(left * mine / (mine + theirs))))
            other.end -= part
            return Run(other.arriving, line, other.end, other.end + part)
        if other.hedged or other.seconds_left(now) <= 2 * other.bytes_left / mine + TWICE:
            return None
        other.hedged = True
        return Run(other.arriving, line, other.pos, other.end, hedged=True)

    def release(self, run: Run) -> None:
        """``run`` has ended; what it did not deliver is free again, unless somebody else fetches it."""
        with self.condition:
            if run not in self.runs:  # it was taken from a connection that fell silent
                return
            self.runs.remove(run)
            others = [other for other in self.runs if other.arriving is run.arriving and not other.whole]
            if run.hedged:  # the one who is left may be helped again
                for other in others:
                    other.hedged = other.hedged and not (other.pos < run.end and run.pos < other.end)
            if not run.whole:
                held = {block for other in others for block in range(other.pos, other.end)}
                run.arriving.give_back(block for block in range(run.pos, run.end) if block not in held)
            self.condition.notify_all()

    def _goes_on(self, run: Run) -> bool:
        """What is on its way from a mirror that is not asked again is of use while every piece is judged by itself.

        A second wrong piece shows that it is not; and what it delivers alone would show nothing any more.
        """
        arriving, lane = run.arriving, run.line.lane
        if arriving.named or arriving.only not in (None, lane.number):
            return False
        once = bool(arriving.wheel.pieces) and not run.alone and sum(lane.wrong_pieces.values()) <= 1
        return once or lane.can_serve(arriving.wheel)

    def begin(self, run: Run) -> int | None:
        """The block that the next bytes belong to; None when nothing of ``run`` is missing any more."""
        with self.condition:
            states = run.arriving.states
            if self.over or run.line.cut or run.pos >= run.end or not self._goes_on(run):
                return None
            missing = any(states.find(state, run.pos, run.end) >= 0 for state in (ASKED, FREE, DOUBTED))
            return run.pos if missing else None

    def commit(self, run: Run, block: int, data: memoryview) -> int | None:
        """Keep ``data`` as ``block`` unless it is there; returns the piece that it completes."""
        arriving, lane = run.arriving, run.line.lane
        with self.condition:
            if self.over or run.line.cut or not self._goes_on(run):
                return None  # the block stays with ``run``, whose release makes it free
            run.pos = block + 1
            doubt = arriving.doubts.get(block // BLOCKS)
            if arriving.states[block] in (WRITING, DONE) or (doubt and doubt.by is not lane):
                return None
            arriving.start_writing(block)
            arriving.busy += 1
        written = False
        try:
            arriving.write(block, data)
            written = True
        finally:
            with self.condition:
                arriving.busy -= 1
                piece = arriving.has_written(block, lane.number) if written else None
        run.gained += len(data)
        return piece

    def become_whole(self, run: Run) -> bool:
        """The mirror sends the file from its first byte, whatever it was asked; False when it is doing so already."""
        with self.condition:
            run.line.lane.no_ranges.add(run.arriving.wheel.filename)
            if self._reads_whole(run.line, run.arriving):
                return False
            self._take_doubts(run.line, run.arriving)
            run.arriving.give_back(range(run.pos, run.end))
            run.pos, run.end, run.whole, run.alone = 0, len(run.arriving.states), True, False
            self.condition.notify_all()
            return True
