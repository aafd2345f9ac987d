"""What is measured, as data: one row per scenario, with what we promise of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

MB = 1_000_000  # bytes
OURS, PLAIN, FETCH, PIP, UV, UV_COMPILED, ARIA2, TUNED = (
    "paddle-bootstrap",
    "paddle-bootstrap plain",
    "paddle-bootstrap fetch",
    "pip",
    "uv",
    "uv compiled",
    "aria2c",
    "aria2c tuned + uv",
)
TOOLS = (OURS, FETCH, PIP, UV, ARIA2, TUNED)
WITH_BYTECODE = (OURS, PLAIN, FETCH, PIP, UV, UV_COMPILED, ARIA2, TUNED)  # of a wheel that has much to compile
LIKE = {UV: PLAIN, TUNED: PLAIN, ARIA2: FETCH}  # what of ours is compared with a tool; OURS with the others
PADDLE, CUBLAS = "paddlepaddle-gpu", "nvidia-cublas-cu11"


@dataclass(frozen=True)
class Fault:
    """How the fault server treats requests for the wheel. Offsets and lengths in bytes, rates in bytes per second."""

    rate: int | None = None  # of each connection, over all its requests
    total: int | None = None  # of all connections together
    cut_after: int | None = None  # of each response: the connection is closed
    stall_after: int | None = None  # of each response: nothing more comes, the connection stays open
    drip_after: int | None = None  # of each response: 20 kB/s from there
    every: int = 1  # only every n-th connection is cut, stalls or drips
    ends_at: int | None = None  # bytes of the file from here on are promised and never sent
    status: int | None = None  # answered instead of the wheel
    busy_above: int | None = None  # ... while more than so many responses are under way
    delay: float = 0.0  # seconds to the first byte
    ranges: bool = True
    flips: tuple[int, ...] = ()  # offsets of bytes that are sent with one bit wrong


@dataclass(frozen=True)
class Mirror:
    """One server on an address of its own: nginx, or with ``fault`` the fault server."""

    rate: int | None = None  # nginx: bytes per second of each connection
    tls: bool = False
    dead: bool = False  # nothing listens
    fault: Fault | None = None


@dataclass(frozen=True)
class Network:
    """A line between servers and tools, with network namespaces of their own at both ends."""

    delay: float = 0.0  # seconds, each way
    loss: float = 0.0  # share of packets, each way
    tbf: str | None = None  # words of tc-tbf(8) for what servers send


@dataclass(frozen=True)
class Target:
    """What we promise of one scenario; each field that is set is judged by itself."""

    faster: dict[str, float] = field(default_factory=dict)  # tool -> its wall seconds over ours, at least
    cpu_of_aria2: float | None = None  # CPU seconds of our fetch over aria2c's, at most
    wall_of_aria2: float | None = None  # wall seconds of our fetch over aria2c's, at most
    transfer: float | None = None  # share of what the mirrors can give that our fetch uses, at least
    of_ideal: float | None = None  # wall <= this * max(size / what the mirrors give, the row "open") + 1 s
    extra: float | None = None  # bytes served beyond the size, as a share of it, at most
    of: str | None = None  # wall seconds over ours in this scenario ...
    at_most: float = 1.3  # ... at most
    exit_code: int = 0
    names_liar: bool = False


@dataclass(frozen=True)
class Scenario:
    """One row of the table, for every tool. ``gives``: bytes per second that the mirrors can give to us together."""

    name: str
    title: str
    mirrors: tuple[Mirror, ...]
    wheel: str = CUBLAS
    target: Target = Target()
    connections: int | None = None  # to each mirror; None: each tool's own default
    gives: int | None = None
    slowest: int = 25 * MB  # bytes per second of the slowest single connection: decides how long a run may take
    liar: int | None = None  # which mirror sends wrong bytes
    kills: int = 0  # kill -9 at so many moments, then again
    warm: bool = False  # a second target from the first one's store or cache
    tools: tuple[str, ...] = TOOLS
    network: Network | None = None  # None: the host's loopback

    @property
    def compared(self) -> tuple[str, ...]:
        """Who takes part."""
        return WITH_BYTECODE if self.wheel == PADDLE and self.tools is TOOLS else self.tools


def _per_connection(*rates: int) -> tuple[Mirror, ...]:
    return tuple(Mirror(rate=rate * MB) for rate in rates)


def _totals(*rates: int) -> tuple[Mirror, ...]:
    return tuple(Mirror(fault=Fault(total=rate * MB)) for rate in rates)


RATE = Fault(rate=25 * MB)  # every connection of the fault rows
WHOLE = Mirror(fault=RATE)
SPREAD = tuple(17 * MB + index * 33 * MB for index in range(12))


def _faulty(name: str, title: str, *, of: str = "healthy", second: bool = False, **fault: object) -> Scenario:
    """A mirror with one fault, and with ``second`` a healthy one behind it."""
    faulty = Mirror(fault=replace(RATE, **fault))  # type: ignore[arg-type]  # its fields, by name
    return Scenario(name, title, (faulty, WHOLE) if second else (faulty,), target=Target(extra=0.05, of=of))


def _lying(name: str, title: str, *, flips: tuple[int, ...], alone: bool = False) -> Scenario:
    liar = Mirror(fault=replace(RATE, flips=flips))
    target = Target(exit_code=13) if alone else Target(extra=0.05, of="healthy", names_liar=True)
    return Scenario(name, title, (liar,) if alone else (liar, WHOLE), target=target, liar=0)


def _same(name: str, title: str, connections: int) -> Scenario:
    return Scenario(name, title, (WHOLE,), connections=connections, tools=(OURS,))


OPEN = Target(faster={UV: 1.15, UV_COMPILED: 1.15, PIP: 3.0}, cpu_of_aria2=2.0)
MANY = Target(transfer=0.9, of_ideal=1.15)

SCENARIOS = (
    Scenario("nolimit", "no limit", (Mirror(),), PADDLE, OPEN, slowest=100 * MB),
    Scenario("tls", "no limit, TLS", (Mirror(tls=True),), PADDLE, OPEN, slowest=100 * MB),
    Scenario(
        "ten",
        "10 MB/s per connection",
        _per_connection(10),
        PADDLE,
        Target(faster={UV: 10, PIP: 13, TUNED: 2}),
        slowest=10 * MB,
    ),
    Scenario(
        "ten-public",
        "10 MB/s per connection, at most 6",
        _per_connection(10),
        PADDLE,
        Target(faster={UV: 7}),
        connections=6,
        slowest=10 * MB,
    ),
    Scenario("open", "no limit, the smaller wheel", (Mirror(),), slowest=100 * MB),
    Scenario(
        "three",
        "mirrors of 2, 5, 10 MB/s per connection",
        _per_connection(2, 5, 10),
        target=MANY,
        gives=16 * 17 * MB,
        slowest=2 * MB,
    ),
    Scenario(
        "three-reversed",
        "mirrors of 10, 5, 2 MB/s per connection",
        _per_connection(10, 5, 2),
        target=MANY,
        gives=16 * 17 * MB,
        slowest=2 * MB,
    ),
    Scenario(
        "three-public",
        "mirrors of 2, 5, 10 MB/s per connection, at most 6, no burst",
        tuple(Mirror(fault=Fault(rate=rate * MB)) for rate in (2, 5, 10)),
        PADDLE,
        MANY,
        connections=6,
        gives=6 * 17 * MB,
        slowest=2 * MB,
        tools=(OURS, FETCH),
    ),
    Scenario(
        "totals",
        "mirrors of 4, 12, 30 MB/s in total",
        _totals(4, 12, 30),
        target=MANY,
        gives=46 * MB,
        slowest=4 * MB,
    ),
    Scenario(
        "totals-reversed",
        "mirrors of 30, 12, 4 MB/s in total",
        _totals(30, 12, 4),
        target=MANY,
        gives=46 * MB,
        slowest=4 * MB,
    ),
    Scenario("healthy", "25 MB/s per connection, no fault", (WHOLE,)),
    _same("two", "25 MB/s per connection, at most 2", 2),
    _same("one", "25 MB/s per connection, at most 1", 1),
    _faulty("cut", "each response cut after 40 MB", cut_after=40 * MB),
    _faulty("stall", "each response stalls after 50 MB", stall_after=50 * MB),
    _faulty("drip", "every second connection drips at 20 kB/s after 1 MB", drip_after=MB, every=2),
    _faulty("early", "first of two mirrors ends at 300 MB, full length promised", second=True, ends_at=300 * MB),
    Scenario("dead", "first of two mirrors dead", (Mirror(dead=True), WHOLE), target=Target(extra=0.05, of="healthy")),
    _faulty("missing", "404 on the file at the first of two mirrors", second=True, status=404),
    _faulty("busy", "503 on the third connection", of="two", status=503, busy_above=2),
    _faulty("banned", "403 on the third connection", of="two", status=403, busy_above=2),
    _faulty("late", "150 ms to the first byte", delay=0.15),
    _faulty("noranges", "no Range", of="one", ranges=False),
    _lying("flip", "one flipped byte at the first of two mirrors", flips=(200 * MB,)),
    _lying("flips", "12 flipped bytes at the first of two mirrors", flips=SPREAD),
    _lying("tampered", "another file of that size at the first of two mirrors", flips=tuple(range(0, 418 * MB, MB))),
    _lying("liar", "one flipped byte at the only mirror", flips=(200 * MB,), alone=True),
    Scenario(
        "kill",
        "kill -9 at 10 moments, then again",
        (Mirror(fault=Fault(rate=10 * MB)),),  # slow enough that what was sent was read
        target=Target(extra=0.02),
        kills=10,
        slowest=10 * MB,
        tools=(OURS, UV, TUNED),
    ),
    Scenario(
        "warm",
        "second target from a warm store",
        (Mirror(),),
        PADDLE,
        Target(faster={UV: 1.0}),
        slowest=100 * MB,
        warm=True,
        tools=(OURS, UV),
    ),
)

_AS_ARIA2 = Target(wall_of_aria2=1.0)
NETNS = (
    Scenario(
        "loss",
        "25 % of all packets lost",
        (Mirror(),),
        "nvidia-curand-cu11",
        _AS_ARIA2,
        slowest=MB // 4,
        network=Network(loss=0.25),
    ),
    Scenario(
        "rtt",
        "300 ms round trip",
        (Mirror(),),
        target=_AS_ARIA2,
        slowest=2 * MB,
        network=Network(delay=0.15),
    ),
    Scenario(
        "shaped",
        "240 Mbit/s in total, by tc tbf",
        (Mirror(),),
        target=_AS_ARIA2,
        slowest=20 * MB,
        network=Network(tbf="rate 240mbit burst 64kb latency 50ms"),
    ),
)
