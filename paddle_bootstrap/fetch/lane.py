"""One mirror in one run: how many connections it gets, what it cannot give, and what it has delivered."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.index_page import Link
from paddle_bootstrap.fetch.source import Connection, Source
from paddle_bootstrap.lock.model import Wheel

FIRST = 4  # connections to begin with
GAIN = 1.1  # more connections must make a mirror faster by this factor, or they are not worth having
SETTLE = 0.1  # seconds until the effect of a new connection is judged
AGAIN = 0.5  # seconds until it is judged once more: servers may let a connection's first bytes pass at once
PROBE = 10.0  # seconds after which a mirror is tried with more connections again
LATENCIES = 10  # waits for an answer that a connection takes to become quick
LONGEST_WAIT = 60.0  # seconds that a mirror may ask us to stay away
WINDOW = 2.0  # seconds over which speed is measured
LATELY = 0.25  # seconds, at least, that a sudden change takes to be seen
LIVELY = 1.0  # seconds since the last byte of a connection that flows
BURST = 5e5  # bytes that servers send at once, though they limit a connection


class Meter:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: deque[tuple[float, int]] = deque()
        self._sampled = self._idle = 0.0  # monotonic, and seconds that do not count

    def sample(self, now: float, *, busy: bool = True) -> None:
        """Take a look; the time since the last one does not count unless it was ``busy``."""
        if not busy:
            self._idle += now - (self._sampled or now)
        self._sampled = now
        self._seen.append((now - self._idle, self.total))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= WINDOW:
            self._seen.popleft()

    @property
    def speed(self) -> float:
        return self._since(0)

    @property
    def lately(self) -> float:
        """The same over the time that BURST takes: what comes in bursts is seldom seen to stand still."""
        return self.speed_of_last(max(LATELY, BURST / max(self.speed, 1.0)))

    def speed_of_last(self, seconds: float) -> float:
        """The same over a shorter time."""
        at = len(self._seen) - 1
        while at > 0 and self._seen[-1][0] - self._seen[at][0] < seconds:
            at -= 1
        return self._since(at)

    def _since(self, at: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        (first, before), (last, after) = self._seen[at], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0


@dataclass(eq=False)
class Line:
    """One connection and the thread that works on it."""

    lane: Lane
    connection: Connection
    meter: Meter = field(default_factory=Meter)
    asked_at: float | None = None  # monotonic; None: it has nothing to do
    latency: float = 0.0  # seconds that its last request took until the first byte
    busy_with: str = ""  # the file that it has asked for
    heard: float = 0.0  # monotonic: when the last byte of a file came
    best: float = 0.0  # bytes per second
    slow_since: float | None = None
    cut: str | None = None  # why it is given up; its thread ends as soon as it notices
    throttled: bool = False  # it waits because the user limited the rate
    kept: tuple[str, int, int] | None = None  # file, block, and how many of its bytes came before the last cut

    def silent(self, now: float) -> float:
        """Seconds in which nothing has come of what it was asked for, though it was waited for."""
        asked_at = self.asked_at
        return now - max(self.heard, asked_at) if asked_at and not self.throttled else 0.0


@dataclass(eq=False)
class Lane:
    """One mirror. Who changes it holds the board's lock."""

    number: int
    source: Source
    cap: int  # connections at most
    starts: float  # monotonic: not asked before; the conductor brings it forward
    target: int = FIRST
    lines: list[Line] = field(default_factory=list)
    leaving: list[Line] = field(default_factory=list)  # given up; it may still wait for the mirror to take it
    meter: Meter = field(default_factory=Meter)
    out: MirrorFailure | None = None  # not asked again in this run, and why
    lacks: dict[str, MirrorFailure] = field(default_factory=dict)  # file name -> why it cannot come from here
    links: dict[str, Link] = field(default_factory=dict)
    no_ranges: set[str] = field(default_factory=set)  # files that come from here only whole
    resting_until: float = 0.0
    refusals: int = 0  # files in a row
    ended_bytes: int = 0  # of connections that have ended
    brought: float = 0.0  # monotonic: when a block has come that was missing
    wrong_pieces: Counter[str] = field(default_factory=Counter)  # by file name
    _marked: tuple[float, int] = (0.0, 0)  # monotonic and bytes, when its speed was last looked at
    _before: float = 0.0  # speed with fewer connections
    _settled: float | None = None  # monotonic: since when it has enough of them
    _grown: bool = False  # that was judged twice, or the mirror said so itself
    _probe_at: float = 0.0  # monotonic: when to try more connections than it took before

    def __post_init__(self) -> None:
        self.limit = self.cap

    @property
    def ripe(self) -> float:
        """Seconds after which a connection of its own has shown what it can: distant ones take their time."""
        return LATENCIES * max((line.latency for line in self.lines), default=0.0)

    @property
    def lied(self) -> bool:
        """It has been named for wrong bytes."""
        return self.out is not None and self.out.kind == "wrong"

    def can_serve(self, wheel: Wheel) -> bool:
        return self.out is None and wheel.filename not in self.lacks

    def knows(self, filename: str) -> bool:
        """It has been found out where it has the file."""
        return filename in self.links

    def link_to(self, wheel: Wheel, connection: Connection) -> Link:
        """Where it has ``wheel``. Raises MirrorFailure."""
        if wheel.filename not in self.links:
            self.links[wheel.filename] = connection.find(wheel)
        return self.links[wheel.filename]

    def end(self, line: Line) -> None:
        """``line`` is one of them no more, once its thread has ended."""
        self.lines.remove(line)
        self.leaving.append(line)
        self.ended_bytes += line.meter.total

    def wants_lines(self, now: float) -> int:
        """How many more connections to open now."""
        if self.out or now < max(self.starts, self.resting_until):
            return 0
        if self._probe_at and now >= self._probe_at:
            self.cap = self.target = min(self.limit, 2 * self.cap)
            self._probe_at = now + PROBE if self.cap < self.limit else 0.0
        self._grow(now)
        return max(0, min(self.target, self.cap) - len(self.lines) - len(self.leaving))

    def _grow(self, now: float) -> None:
        """Twice as many, as long as that pays; what did not pay is tried once more."""
        if self._settled and not self._grown and now - self._settled >= AGAIN:
            self._settled, self._grown, self._before = None, True, 0.0
        if self._settled or len(self.lines) < min(self.target, self.cap):
            return
        since, before = self._marked
        waiting = sum(line.meter.total == 0 for line in self.lines)  # the packets of some may be lost
        if not since or 2 * waiting > len(self.lines):
            self._marked = (now, self.meter.total)
        elif now - since >= SETTLE:
            speed = (self.meter.total - before) / (now - since)
            self._settled = now if speed < GAIN * self._before else None
            self._before, self._marked = speed, (0.0, 0)
            if not self._settled:
                self.target = min(self.cap, 2 * self.target)

    def slow_down(self, *, told: bool) -> None:
        """It refused a connection while it serves others: those are enough from now on.

        Unless it ``told`` so, more are tried later: a network may have been in its way.
        """
        now = time.monotonic()
        self.cap = max(1, min(self.cap, len(self.lines) - 1))
        self._settled, self._grown = now, True
        self._probe_at = 0.0 if told else now + PROBE

    def rest(self, seconds: float) -> None:
        """Ask it nothing new for so long."""
        self.resting_until = time.monotonic() + min(LONGEST_WAIT, seconds)
