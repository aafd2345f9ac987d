"""Opens connections while they pay, replaces those that stall, lets the next mirror join, and says how far it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from paddle_bootstrap import progress
from paddle_bootstrap.fetch import sharing
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import BURST, LIVELY, Lane, Line
from paddle_bootstrap.fetch.ledger import Ledger
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.sharing import Run

TICK = 0.05  # seconds
DRAW_SECONDS = 0.1
STUCK = 0.5  # seconds of silence after which a connection is not relied on


class Conductor:
    """Watches one fetch from a thread of its own. ``open_line`` is called with the board's lock held."""

    def __init__(
        self, board: Board, ledger: Ledger, patience: Patience, open_line: Callable[[Lane], None], *, limited: bool
    ) -> None:
        self.board = board
        self.ledger = ledger
        self.lanes = ledger.lanes
        self.patience = patience
        self._open_line = open_line
        self._limited = limited  # the user asked for slowness: nobody is blamed for it
        self._drawn = self._joined = time.monotonic()

    def conduct(self) -> None:
        """Returns when every file is there, or cannot be had."""
        condition = self.board.condition
        while True:
            with condition:
                lost = [self._is_lost(arriving) for arriving in self.board.arrivings]
                if self.board.over or all(lost):
                    return
                now = time.monotonic()
                self._sample(now)
                self._cut(now)
                self._join(now)
                self._open(now)
            self._draw(now)
            with condition:
                if not self.board.over:
                    condition.wait(TICK)

    def _is_lost(self, arriving: Arriving) -> bool:
        """There is nothing to wait for: it is there, or no mirror can deliver what is missing, and nobody is about to."""
        if arriving.right or arriving.complete:
            return arriving.right
        wheel = arriving.wheel
        if arriving.only is not None and not self.lanes[arriving.only].can_serve(wheel):
            arriving.only = None
        return not any(lane.can_serve(wheel) for lane in self.lanes) and not any(
            run.arriving is arriving for run in self.board.runs
        )

    def _sample(self, now: float) -> None:
        for lane in self.lanes:
            for line in lane.lines:
                line.meter.sample(now, busy=line.asked_at is not None)
            lane.meter.total = lane.ended_bytes + sum(line.meter.total for line in lane.lines)
            lane.meter.sample(now)

    def _join(self, now: float) -> None:
        """The next mirror is asked when those before it need help: what they do alone, they do alone.

        At once for a file that none of them can give; otherwise one after the other, as long as there is much left to do.
        """
        started = [lane for lane in self.lanes if max(lane.starts, lane.resting_until) <= now]
        left = [arriving for arriving in self.board.arrivings if not arriving.complete]
        orphans = [item for item in left if not any(lane.can_serve(item.wheel) for lane in started)]
        for arriving in orphans or (left if self._want_help(now, left) else ()):
            later = [lane for lane in self.lanes if lane.starts > now and lane.can_serve(arriving.wheel)]
            if later:
                later[0].starts = self._joined = now
                return

    def _want_help(self, now: float, left: Sequence[Arriving]) -> bool:
        flows = any(lane.meter.total for lane in self.lanes)
        if now - self._joined < (self.patience.join if flows else max(self.patience.join, self.patience.hush)):
            return False
        speed = sum(lane.meter.speed for lane in self.lanes)
        return sum(arriving.size - arriving.done_bytes for arriving in left) > speed * self.patience.soon

    def _open(self, now: float) -> None:
        """No more connections than there are pieces to fetch, or smaller parts from slow mirrors; silent ones do not count."""
        free = sum(arriving.free_bytes for arriving in self.board.arrivings)
        shared = sum(run.bytes_left for run in self.board.runs if run.seconds_left(now) > 1)
        speed = sum(lane.meter.speed for lane in self.lanes)
        for lane in self.lanes:
            useful = sharing.useful(lane, free + shared, speed)
            lively = sum(line.silent(now) < STUCK for line in lane.lines)
            for _ in range(min(lane.wants_lines(now), useful - lively)):
                self._open_line(lane)

    def _cut(self, now: float) -> None:
        lines = [line for lane in self.lanes for line in lane.lines if line.asked_at is not None]
        flowing = [line for line in lines if now - line.heard < LIVELY]
        for line in lines:
            if fault := self._fault(line, now, alone=not any(other is not line for other in flowing)):
                self._give_up(line, fault, self.ledger.judge)
            elif self._trickles(line, now):
                self._give_up(line, f"it sends only {progress.human_bytes(line.meter.lately)}/s", self.ledger.excuse)
            elif line.silent(now) > STUCK and not any(self.board.wants(run) for run in self._runs_of(line)):
                self._give_up(line, "it is not needed", None)

    def _give_up(self, line: Line, fault: str, tell: Callable[[Run, MirrorFailure], object] | None) -> None:
        """Others get its work at once, whatever its thread waits for; that thread finds nothing to do when it wakes."""
        line.cut = fault
        line.lane.end(line)
        for run in self._runs_of(line):
            self.board.release(run)
            if tell:
                tell(run, MirrorFailure("broken", fault, retry=True))
        line.connection.abort()

    def _runs_of(self, line: Line) -> list[Run]:
        return [run for run in self.board.runs if run.line is line]

    def _fault(self, line: Line, now: float, *, alone: bool) -> str | None:
        """What is wrong with a connection that has been asked for something."""
        if line.throttled:
            return None
        asked_at = line.asked_at or now
        heard = max(line.heard, line.connection.heard, asked_at)
        first = line.heard < asked_at  # nothing of the file has come of this request yet
        stall = self.patience.stall * (2 if alone else 1)
        if not line.lane.knows(line.busy_with):  # some of its connections read the index page for all
            heard = max(heard, *(other.connection.heard for other in line.lane.lines))
            stall = self.patience.read
        if now - heard > (self.patience.read if alone and first else stall):
            return "it fell silent"
        if self._limited or first:
            return None
        siblings = [other.meter.speed for other in line.lane.lines if other is not line and other.meter.speed]
        usual = max(line.best, statistics.median(siblings) if siblings else 0.0)
        slow = line.meter.speed < max(self.patience.drip * usual, self.patience.floor) and line.silent(now) < LIVELY
        line.slow_since = (line.slow_since or now) if slow and now - asked_at > self.patience.stall / 3 else None
        if line.slow_since and now - line.slow_since > self.patience.stall:
            return f"it sends only {progress.human_bytes(line.meter.speed)}/s"
        line.best = max(line.best, line.meter.speed)
        return None

    def _trickles(self, line: Line, now: float) -> bool:
        """It sends next to nothing, all the time, while most connections of its mirror do better.

        One that is silent may have lost packets, and one of a distant mirror takes its time to become quick.
        """
        siblings = [other.meter.speed for other in line.lane.lines if other is not line]
        usual = statistics.median(siblings) if siblings else 0.0
        if not usual or self._limited or line.throttled:
            return False
        span = max(self.patience.trickle, BURST / usual, line.lane.ripe)
        if now - (line.asked_at or now) < span or now - line.heard > span or line.heard < (line.asked_at or now):
            return False
        return line.meter.speed_of_last(span) < self.patience.drip * usual

    def _draw(self, now: float) -> None:
        if now - self._drawn < DRAW_SECONDS:
            return
        self._drawn = now
        arrivings = self.board.arrivings
        front = [item for item in arrivings if not item.right and 0 < item.done_bytes < item.size]
        if front:
            progress.total(sum(item.done_bytes for item in arrivings), sum(item.size for item in arrivings))
            progress.transfer(front[0].wheel.filename, front[0].done_bytes, front[0].size)
