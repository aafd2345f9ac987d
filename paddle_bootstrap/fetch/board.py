"""Who fetches what: every connection of every mirror takes its next range of blocks from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from paddle_bootstrap.fetch import sharing
from paddle_bootstrap.fetch.arriving import BLOCKS, DONE, WRITING, Arriving
from paddle_bootstrap.fetch.lane import Line
from paddle_bootstrap.fetch.sharing import Run, may_serve

PATROL = 0.05  # seconds between looks for something to share


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
                run = (
                    sharing.lagging(self.runs, self.arrivings, line)
                    or self._free(line)
                    or sharing.rest(self.runs, line)
                )
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

    def _free(self, line: Line) -> Run | None:
        for arriving in self.arrivings:
            if not arriving.free_bytes or not may_serve(line, arriving):
                continue
            if arriving.wheel.filename in line.lane.no_ranges:
                run = self._whole(line, arriving)
            else:
                run = self._doubted(line, arriving)
                most, hurried = sharing.fair_size(self.runs, line, arriving), sharing.hurried(self.runs)
                if run is None and (asked := arriving.ask(most, hurried=hurried)):
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

    def _reads_whole(self, line: Line, arriving: Arriving) -> bool:
        """Another connection to the same mirror reads the file from its first byte."""
        lane = line.lane
        return any(
            run.whole and run.line is not line and run.line.lane is lane and run.arriving is arriving
            for run in self.runs
        )

    def release(self, run: Run) -> None:
        """``run`` has ended; what it did not deliver is free again, unless somebody else fetches it."""
        with self.condition:
            if run not in self.runs:  # it was taken from a connection that fell silent
                return
            self.runs.remove(run)
            others = [other for other in self.runs if other.arriving is run.arriving and not other.whole]
            if run.hedged:  # the one who is left, if it is one, may be helped again
                same = [other for other in others if other.pos < run.end and run.pos < other.end]
                for other in same if len(same) == 1 else ():
                    other.hedged = 0.0
            if not run.whole:
                held = {block for other in others for block in range(other.pos, other.end)}
                run.arriving.give_back(block for block in range(run.pos, run.end) if block not in held)
            self.condition.notify_all()

    def _goes_on(self, run: Run) -> bool:
        """The piece that is on its way from a mirror that is not asked again is of use: it is judged by itself.

        A second wrong piece shows that it is not; and what that mirror delivers alone would show nothing any more.
        """
        arriving, lane = run.arriving, run.line.lane
        if arriving.right or arriving.only not in (None, lane.number):
            return False
        begun = bool(arriving.wheel.pieces) and run.pos % BLOCKS > 0
        once = begun and not run.alone and sum(lane.wrong_pieces.values()) == 1
        return once or lane.can_serve(arriving.wheel)

    def begin(self, run: Run) -> int | None:
        """The block that the next bytes belong to; None when nothing of ``run`` is missing any more."""
        with self.condition:
            return run.pos if not self.over and not run.line.cut and self.wants(run) else None

    def wants(self, run: Run) -> bool:
        """Something that is missing may still come of it. Who calls holds the lock."""
        return run.missing and self._goes_on(run)

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
        lane.brought = time.monotonic()
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
