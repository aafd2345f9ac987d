"""Opens connections while they pay, replaces those that stall, lets the next mirror join, and says how far it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.lane import Lane, Line
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.lock.model import PIECE_SIZE

TICK = 0.05  # seconds
DRAW_SECONDS = 0.1


class Conductor:
    """The calling thread's part of a fetch. ``open_line`` is called with the board's lock held."""

    def __init__(
        self, board: Board, lanes: Sequence[Lane], patience: Patience, open_line: Callable[[Lane], None]
    ) -> None:
        self.board = board
        self.lanes = lanes
        self.patience = patience
        self._open_line = open_line
        self._drawn = time.monotonic()

    def conduct(self) -> None:
        """Returns when every file is there, or cannot be had."""
        condition = self.board.condition
        while True:
            with condition:
                if self.board.over or all(
                    arriving.named or self._is_lost(arriving) for arriving in self.board.arrivings
                ):
                    return
                now = time.monotonic()
                self._sample(now)
                self._join(now)
                self._open(now)
                self._cut(now)
            self._draw(now)
            with condition:
                condition.wait(TICK)

    def _is_lost(self, arriving: Arriving) -> bool:
        """No mirror can deliver what is missing of it, and nobody is about to."""
        if arriving.complete:
            return False
        if arriving.only is not None and not self.lanes[arriving.only].can_serve(arriving.wheel):
            arriving.only = None
        wheel = arriving.wheel
        return not any(lane.can_serve(wheel) for lane in self.lanes) and not any(
            run.arriving is arriving for run in self.board.runs
        )

    def _sample(self, now: float) -> None:
        for lane in self.lanes:
            for line in lane.lines:
                line.meter.sample(now)
            lane.meter.total = lane.ended_bytes + sum(line.meter.total for line in lane.lines)
            lane.meter.sample(now)

    def _join(self, now: float) -> None:
        """A file that no mirror of those asked so far can give is a reason to ask the next one at once."""
        started = [lane for lane in self.lanes if max(lane.starts, lane.resting_until) <= now]
        for arriving in self.board.arrivings:
            if arriving.complete or any(lane.can_serve(arriving.wheel) for lane in started):
                continue
            later = [lane for lane in self.lanes if lane.starts > now and lane.can_serve(arriving.wheel)]
            if later:
                later[0].starts = now
                return

    def _open(self, now: float) -> None:
        """No more connections than there are pieces to fetch."""
        free = sum(arriving.free_bytes for arriving in self.board.arrivings)
        shared = sum(run.bytes_left for run in self.board.runs if run.seconds_left > 1)
        useful = -(-(free + shared) // PIECE_SIZE)
        for lane in self.lanes:
            for _ in range(min(lane.wants_lines(now), useful - len(lane.lines))):
                self._open_line(lane)

    def _cut(self, now: float) -> None:
        lines = [line for lane in self.lanes for line in lane.lines]
        flowing = [line for line in lines if now - line.heard < 1.0 and line.asked_at is not None]
        for line in lines:
            if line.asked_at is None or line.cut:
                continue
            line.cut = self._fault(line, now, alone=not any(other is not line for other in flowing))
            if line.cut:
                line.connection.abort()

    def _fault(self, line: Line, now: float, *, alone: bool) -> str | None:
        """What is wrong with a connection that has been asked for something."""
        asked = now - (line.asked_at or now)
        silent = min(now - line.heard, asked)
        stall = self.patience.stall
        first = line.heard < (line.asked_at or 0.0)  # nothing has come of this request yet
        if silent > (self.patience.read if alone and first else 2 * stall if alone else stall):
            return "it fell silent"
        siblings = [other.meter.speed for other in line.lane.lines if other is not line and other.meter.speed]
        usual = max(line.best, statistics.median(siblings) if siblings else 0.0)
        slow = line.meter.speed < max(self.patience.drip * usual, self.patience.floor)
        line.slow_since = (line.slow_since or now) if slow and asked > 1.0 else None
        if line.slow_since and now - line.slow_since > stall:
            return f"it sends only {progress.human_bytes(line.meter.speed)}/s"
        line.best = max(line.best, line.meter.speed)
        return None

    def _draw(self, now: float) -> None:
        if now - self._drawn < DRAW_SECONDS:
            return
        self._drawn = now
        for arriving in self.board.arrivings:
            if not arriving.named and 0 < arriving.done_bytes < arriving.size:
                progress.transfer(arriving.wheel.filename, arriving.done_bytes, arriving.size)
                return
