"""How work is shared between connections: how much each takes at once, and what a quick one takes over from a slow one.

Who calls holds the board's lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from paddle_bootstrap.fetch.arriving import ASKED, BLOCKS, DOUBTED, FREE, Arriving
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.lane import Lane, Line
from paddle_bootstrap.lock.model import PIECE_SIZE

AHEAD = 3.0  # seconds of work that a connection takes at once, at most
WORK = 10  # times the wait for an answer: so much work makes up for it
LONGEST = 16 * BLOCKS  # blocks
LEAST = 4  # blocks
LASTING = 3.0  # seconds of work that are worth a connection
SHORT = 1.0  # seconds of work that a slow connection takes at once, less than a piece
UNKNOWN_SPEED = 1e6  # bytes per second, of a connection that has not shown any yet
WORTH = 0.3  # seconds that a transfer must still take to be shared
UNPACKED = 1.3e8  # bytes per second of a wheel that two cores unpack (measured)
LAG = 3.0  # seconds that the first missing bytes of a file may still take: digest and unpacking wait for them
SO_FAR = 0.4  # seconds that they have taken already
QUICKER = 3  # times as quick is who helps with them
ANOTHER = 0.7  # seconds after which a third one is asked for what two are asked for: the packets of both may be lost


@dataclass(eq=False)
class Run:
    """One request: blocks from ``pos`` up to ``end``, which others may take from its end."""

    arriving: Arriving
    line: Line
    pos: int
    end: int
    whole: bool = False  # the mirror knows no ranges: all is read, and what is missing is kept
    alone: bool = False  # a piece that nobody else may touch, so that its sender is known
    hedged: float = 0.0  # monotonic: since when somebody else fetches the same
    gained: int = 0  # bytes that were missing before
    learned: bool = False  # where the mirror has the file
    began: float = field(default_factory=time.monotonic)

    @property
    def missing(self) -> bool:
        """Something of it is not there; others may have brought the rest."""
        states = self.arriving.states
        return any(states.find(state, self.pos, self.end) >= 0 for state in (ASKED, FREE, DOUBTED))

    @property
    def bytes_left(self) -> int:
        return (self.end - self.pos) * BLOCK

    def seconds_left(self, now: float) -> float:
        """At the speed it shows; one that is silent will take at least as long again as it has been waited for."""
        line = self.line
        waited = now - max(line.heard, line.asked_at or now)
        speed = UNKNOWN_SPEED if line.meter.total == 0 else max(line.meter.lately, 1.0)
        return max(self.bytes_left / speed, waited)


def may_serve(line: Line, arriving: Arriving) -> bool:
    """Its mirror may be asked for ``arriving``."""
    only = arriving.only
    return line.lane.can_serve(arriving.wheel) and only in (None, line.lane.number) and not arriving.right


def fair_size(runs: Sequence[Run], line: Line, arriving: Arriving) -> int:
    """In blocks: a piece, or as much as makes up for waiting; no more than a fair part of what is left, so that all end together.

    What is asked for in small parts comes in its order, as unpacking needs it, and little is lost with a bad mirror.
    """
    wanted = int(line.meter.speed * min(AHEAD, WORK * line.latency) / BLOCK)
    short = line.meter.speed and WORK * line.latency < SHORT
    least = min(BLOCKS, max(LEAST, int(line.meter.speed * SHORT / BLOCK))) if short else BLOCKS
    fair = (arriving.size - arriving.done_bytes) // BLOCK // max(1, len(runs))
    return max(1, min(max(wanted, least), LONGEST, max(fair, BLOCKS // 2)))


def useful(lane: Lane, size: int, speed: float) -> int:
    """Connections of ``lane`` that ``size`` bytes are worth at a ``speed`` of all mirrors: one for each piece.

    Or for what takes one of its connections some seconds, when it will last longer than that.
    """
    alone = lane.meter.speed / max(1, len(lane.lines))
    part = max(LEAST * BLOCK, int(alone * LASTING)) if 0 < speed * LASTING < size else PIECE_SIZE
    return -(-size // min(PIECE_SIZE, part))


def hurried(runs: Sequence[Run]) -> bool:
    """Bytes come quicker than they can be unpacked."""
    return _speed_of_all(runs) > UNPACKED


def _speed_of_all(runs: Sequence[Run]) -> float:
    return sum(run.line.meter.speed for run in runs)


def lagging(runs: Sequence[Run], arrivings: Sequence[Arriving], line: Line) -> Run | None:
    """Part of a slow transfer of what will soon be the first missing bytes: unpacking and the digest wait for those."""
    now, mine, total = time.monotonic(), _speed(line), _speed_of_all(runs)
    slow = [
        run
        for run in sorted(runs, key=lambda run: run.pos)
        if not run.whole  # others bring what it is slow with anyway
        and not run.line.throttled
        and now - (run.line.asked_at or now) > max(SO_FAR, run.line.lane.ripe)
        and run.seconds_left(now) > max(LAG, QUICKER * run.bytes_left / mine)
        and _may_help(line, run)
    ]
    for arriving in arrivings if slow else ():
        first = arriving.first_missing(hurried=hurried(runs))
        for run in slow:
            needed = (run.pos - first) * BLOCK / max(total, 1.0)  # in so many seconds
            late = run.arriving is arriving and run.end > first and run.seconds_left(now) > needed
            if late and (part := _part_of(run, line, now)):
                return part
    return None


def rest(runs: Sequence[Run], line: Line) -> Run | None:
    """Part of the slowest remaining transfer: its second half, or all of it once more when too little is left."""
    now = time.monotonic()
    others = [run for run in runs if _may_help(line, run)]
    for other in sorted(others, key=lambda run: -run.seconds_left(now)):
        if other.seconds_left(now) < WORTH:
            return None
        if run := _part_of(other, line, now):
            return run
    return None


def _may_help(line: Line, run: Run) -> bool:
    return (
        run.line is not line
        and not run.alone
        and run.missing
        and may_serve(line, run.arriving)
        and run.arriving.wheel.filename not in line.lane.no_ranges
    )


def _speed(line: Line) -> float:
    """What it has shown; one that has shown nothing is as quick as the others of its mirror."""
    return line.meter.speed or line.lane.meter.speed / max(1, len(line.lane.lines)) or UNKNOWN_SPEED


def _part_of(other: Run, line: Line, now: float) -> Run | None:
    mine = _speed(line)
    left = other.end - other.pos - 1  # the block in the air stays with it
    if left >= 2 and not other.whole and not other.hedged:
        theirs = other.bytes_left / other.seconds_left(now)
        part = max(1, min(left, round(left * mine / (mine + theirs))))
        other.end -= part
        return Run(other.arriving, line, other.end, other.end + part)
    if now - other.hedged < ANOTHER or other.seconds_left(now) <= 2 * other.bytes_left / mine + WORTH:
        return None
    other.hedged = now
    return Run(other.arriving, line, other.pos, other.end, hedged=now)
