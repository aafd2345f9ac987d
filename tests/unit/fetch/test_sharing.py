"""Who takes over what from whom: decided from what connections have shown, with clocks that the tests set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from paddle_bootstrap.fetch import blame, sharing
from paddle_bootstrap.fetch.arriving import BLOCKS, Arriving
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.conductor import Conductor
from paddle_bootstrap.fetch.lane import Lane, Line, Meter
from paddle_bootstrap.fetch.ledger import Ledger
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.sharing import Run
from paddle_bootstrap.fetch.source import Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.mirrors.model import mirror_at
from tests.unit.fetch.conftest import Heard
from tests.unit.fetch.pieced import pieced

WHEEL, DATA = pieced(size=40 << 20)
SECONDS = 3.0  # that every connection has been at work


@pytest.fixture
def arriving(store: Store) -> Arriving:
    return Arriving(store, WHEEL, len(DATA))


@pytest.fixture
def connect() -> Callable[..., Line]:
    """``connect(speed, last=speed)``: a busy connection that sent ``speed`` bytes per second, and ``last`` in the last one."""
    lanes: list[Lane] = []

    def line(speed: float, last: float | None = None, *, lane: Lane | None = None) -> Line:
        if lane is None:
            source = Source(mirror_at(f"http://127.0.0.{len(lanes) + 2}/"), {}, Patience())
            lane = Lane(len(lanes), source, cap=16, starts=0.0)
            lanes.append(lane)
        made = Line(lane, lane.source.connect(), meter=metered(speed, speed if last is None else last))
        made.asked_at, made.heard = time.monotonic() - SECONDS, time.monotonic()
        made.busy_with = WHEEL.filename
        lane.links[WHEEL.filename] = None  # type: ignore[assignment]  # where it is does not matter here
        lane.lines.append(made)
        return made

    return line


def metered(speed: float, last: float) -> Meter:
    meter, now = Meter(), time.monotonic()
    for tick in range(int(SECONDS * 20) + 1):
        at = tick / 20
        meter.total = int(speed * min(at, SECONDS - 1) + last * max(0.0, at - SECONDS + 1))
        meter.sample(now - SECONDS + at)
    return meter


def runs_of(arriving: Arriving, *lines: Line) -> list[Run]:
    """Each of them fetches one piece, in their order."""
    return [Run(arriving, line, *arriving.ask(BLOCKS, hurried=False)) for line in lines]  # type: ignore[misc]


def test_a_meter_tells_what_has_come_lately() -> None:
    dripping = metered(5e6, last=1e4)
    assert dripping.lately == pytest.approx(1e4, rel=0.1)
    assert dripping.speed > 2e6
    assert metered(5e6, last=5e6).lately == pytest.approx(5e6, rel=0.1)


def test_waiting_for_work_makes_nobody_slow() -> None:
    meter, now = metered(5e6, last=5e6), time.monotonic()
    for tick in range(100):
        meter.sample(now + tick / 20, busy=False)
    assert meter.speed == pytest.approx(5e6, rel=0.1)


def test_nobody_helps_with_what_others_have_brought(arriving: Arriving, connect: Callable[..., Line]) -> None:
    """Else each helper would ask the mirror and throw its answer away."""
    slow, quick = connect(2e4), connect(1e7)
    (run,) = runs_of(arriving, slow)
    for block in range(run.pos, run.end):
        arriving.start_writing(block)
        arriving.has_written(block, 1)
    assert not run.missing
    assert sharing.rest([run], quick) is None
    assert sharing.lagging([run], [arriving], quick) is None


def test_a_third_one_is_asked_when_two_are_silent(arriving: Arriving, connect: Callable[..., Line]) -> None:
    silent, second, third = connect(1e6), connect(1e7), connect(1e7)
    (run,) = runs_of(arriving, silent)
    run.end = run.pos + 1
    silent.heard = silent.asked_at = time.monotonic() - 2
    hedge = sharing.rest([run], second)
    assert hedge is not None
    assert (hedge.pos, hedge.end) == (run.pos, run.end)
    assert sharing.rest([run, hedge], third) is None
    run.hedged -= sharing.ANOTHER
    assert sharing.rest([run, hedge], third) is not None


@pytest.mark.parametrize(
    ("size", "speed", "wanted"),
    [
        (8 << 20, 0.0, 2),  # pieces
        (8 << 20, 4e5, 16),  # four connections of 100 kB/s: 21 s
        (8 << 20, 8e6, 2),  # it will be there in a second
        (400 << 20, 4e8, 100),
    ],
)
def test_slow_mirrors_get_more_connections_than_there_are_pieces(
    connect: Callable[..., Line], size: int, speed: float, wanted: int
) -> None:
    lane = connect(0.0).lane
    for _ in range(3):
        connect(0.0, lane=lane)
    lane.meter = metered(speed, speed)
    assert sharing.useful(lane, size, lane.meter.speed) == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("silent", [2, 3])
def test_more_connections_come_when_half_of_them_show_something(connect: Callable[..., Line], silent: int) -> None:
    lane = connect(1e6).lane
    for number in range(3):
        connect(0.0 if number < silent else 1e6, lane=lane)
    for line in lane.lines:
        line.meter.total = int(line.meter.speed)
    for tick in range(10):
        lane.meter.total += 100_000
        lane.wants_lines(100 + tick / 20)
    assert lane.target == (8 if silent == 2 else 4)


@pytest.mark.parametrize("told", [True, False])
def test_a_mirror_that_did_not_say_so_is_tried_with_more_connections_later(
    connect: Callable[..., Line], *, told: bool
) -> None:
    lane = connect(1e6).lane
    for _ in range(3):
        connect(1e6, lane=lane)
    lane.slow_down(told=told)
    assert lane.cap == 3
    lane.wants_lines(time.monotonic() + 11)
    assert lane.cap == (3 if told else 6)


def test_a_quick_connection_takes_over_what_is_waited_for(arriving: Arriving, connect: Callable[..., Line]) -> None:
    slow, quick = connect(2e5), connect(1e7)
    first, own = runs_of(arriving, slow, quick)
    taken = sharing.lagging([first, own], [arriving], quick)
    assert taken is not None
    assert (taken.line, taken.end) == (quick, BLOCKS)
    assert first.end == taken.pos < BLOCKS // 4  # the slow one keeps what it can do in the same time


@pytest.mark.parametrize("speed", [3e6, 9e6])
def test_who_will_be_done_in_time_is_left_alone(arriving: Arriving, connect: Callable[..., Line], speed: float) -> None:
    slow, quick = connect(speed), connect(1e7)
    assert sharing.lagging(runs_of(arriving, slow, quick), [arriving], quick) is None


def test_what_is_not_waited_for_yet_is_left_alone(arriving: Arriving, connect: Callable[..., Line]) -> None:
    """Others need 16 s for all before it, and it will be there in 14."""
    lines = [connect(2e6), connect(3e5)]
    whole, own = runs_of(arriving, *lines)
    own.pos, own.end = 9 * BLOCKS, 10 * BLOCKS
    assert sharing.lagging([whole, own], [arriving], lines[0]) is None


def test_who_has_just_been_asked_is_left_alone(arriving: Arriving, connect: Callable[..., Line]) -> None:
    slow, quick = connect(2e5), connect(1e7)
    slow.asked_at = time.monotonic()
    assert sharing.lagging(runs_of(arriving, slow, quick), [arriving], quick) is None


@pytest.mark.parametrize("why", ["limited by the user", "reads the whole file", "distant", "alone"])
def test_who_is_slow_for_a_reason_is_left_alone(arriving: Arriving, connect: Callable[..., Line], why: str) -> None:
    slow, quick = connect(2e5), connect(1e7)
    first, own = runs_of(arriving, slow, quick)
    slow.throttled = why == "limited by the user"
    slow.latency = 0.4 if why == "distant" else 0.0
    first.whole, first.alone = why == "reads the whole file", why == "alone"
    assert sharing.lagging([first, own], [arriving], quick) is None


@pytest.mark.parametrize(("speed", "blocks"), [(0.0, BLOCKS), (1e8, BLOCKS), (1e6, 7), (1e4, sharing.LEAST)])
def test_slow_connections_take_small_parts(
    arriving: Arriving, connect: Callable[..., Line], speed: float, blocks: int
) -> None:
    assert sharing.fair_size([], connect(speed), arriving) == blocks


def test_the_order_is_the_files_unless_bytes_come_quicker_than_they_are_unpacked(
    arriving: Arriving, connect: Callable[..., Line]
) -> None:
    arriving.costly = [range(5 * BLOCKS, 7 * BLOCKS)]
    assert [sharing.hurried(runs_of(arriving, connect(speed))) for speed in (1e8, 2e8)] == [False, True]
    assert arriving.ask(BLOCKS, hurried=True) == (5 * BLOCKS, 6 * BLOCKS)
    assert arriving.ask(BLOCKS, hurried=False) == (2 * BLOCKS, 3 * BLOCKS)
    assert (arriving.first_missing(hurried=True), arriving.first_missing(hurried=False)) == (5 * BLOCKS, 0)
    arriving.first = [range(9 * BLOCKS, 10 * BLOCKS)]
    assert arriving.ask(BLOCKS, hurried=True) == (9 * BLOCKS, 10 * BLOCKS)


def test_a_request_ends_with_a_piece(arriving: Arriving) -> None:
    assert arriving.ask(5, hurried=False) == (0, 5)
    assert arriving.ask(BLOCKS, hurried=False) == (5, BLOCKS)
    assert arriving.ask(2 * BLOCKS + 3, hurried=False) == (BLOCKS, 3 * BLOCKS)


@pytest.mark.parametrize(
    ("last", "silent", "latency", "replaced"),
    [(1e4, 0.0, 0.0, True), (4e6, 0.0, 0.0, False), (0.0, 1.0, 0.0, False), (1e4, 0.0, 0.4, False)],
    ids=["trickles", "flows", "silent", "distant"],
)
def test_one_that_trickles_among_quick_ones_is_replaced_at_once(
    arriving: Arriving, connect: Callable[..., Line], last: float, silent: float, latency: float, replaced: bool
) -> None:
    """One that is silent may have lost a packet, and a distant one takes its time: they get more of it."""
    suspect = connect(4e6, last)
    suspect.heard -= silent
    suspect.latency = latency
    lane = suspect.lane
    for _ in range(3):
        connect(4e6, lane=lane)
    board, ledger = Board([arriving]), Ledger([lane], Patience())
    board.runs = runs_of(arriving, *lane.lines)
    Conductor(board, ledger, Patience(), lambda _: None, limited=False)._cut(time.monotonic())
    assert (suspect.cut is not None, len(board.runs), len(lane.lines)) == (replaced, 4 - replaced, 4 - replaced)
    assert lane.can_serve(WHEEL)  # however many of them


def test_connections_are_added_again_after_a_burst() -> None:
    """Half a second of each connection passes unlimited: then the second four seem to bring nothing."""
    lane = Lane(0, Source(mirror_at("http://127.0.0.2/"), {}, Patience()), cap=16, starts=0.0)
    opened: list[float] = []
    targets = []
    for tick in range(60):
        now = 100 + tick / 20
        lane.wants_lines(now)
        while len(lane.lines) < lane.target:
            lane.lines.append(Line(lane, lane.source.connect()))
            lane.lines[-1].meter.total = 1
            opened.append(now)
        lane.meter.total += sum(1_000_000 if now - since < 0.2 else 50_000 for since in opened)
        targets.append(lane.target)
    assert targets[15] == 8
    assert targets[-1] == 16


def test_who_was_named_is_suspected_first(arriving: Arriving, connect: Callable[..., Line], heard: Heard) -> None:
    """Of a wrong piece of two senders only what the known liar sent is fetched again."""
    lanes = [connect(1e6).lane, connect(1e6).lane]
    blame.accuse(lanes[0], arriving, "it delivers wrong bytes")
    piece = arriving.blocks_of(1)
    for block in piece:
        arriving.start_writing(block)
        arriving.has_written(block, 0 if block < piece.start + 5 else 1)
    blame.wrong_piece(arriving, 1, [b""] * len(piece), lanes)
    assert not arriving.doubts
    assert not lanes[1].lied
    assert arriving.done_bytes == (len(piece) - 5) * BLOCK


def test_one_wrong_piece_stops_nothing_that_is_on_its_way_a_second_one_does(
    arriving: Arriving, connect: Callable[..., Line], heard: Heard
) -> None:
    line = connect(1e6)
    board = Board([arriving])
    [run] = runs_of(arriving, line)
    run.end = 2 * BLOCKS
    blame.accuse(line.lane, arriving, "it delivers wrong bytes")
    assert [board.begin(replace(run, pos=pos)) for pos in (0, 5, BLOCKS, BLOCKS + 1)] == [None, 5, None, BLOCKS + 1]
    run.pos = 5
    assert board.begin(replace(run, alone=True)) is None
    blame.accuse(line.lane, arriving, "it delivers wrong bytes")
    assert board.begin(run) is None
