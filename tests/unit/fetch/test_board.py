"""Who may deliver what, decided under the board's lock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.board import Board
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import Lane, Line
from paddle_bootstrap.fetch.sharing import Run
from paddle_bootstrap.fetch.source import Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.mirrors.model import mirror_at
from tests.unit.fetch.conftest import HASTE
from tests.unit.fetch.pieced import pieced

WHEEL, DATA = pieced(size=1 << 20)


@pytest.fixture
def lines() -> list[Line]:
    """One connection to each of two mirrors; nothing is opened."""
    sources = [Source(mirror_at(f"http://127.0.0.{number}/"), {}, HASTE) for number in (1, 2)]
    return [
        Line(Lane(number, source, cap=1, starts=0.0, lines=[]), source.connect())
        for number, source in enumerate(sources)
    ]


@pytest.mark.parametrize("why", ["another one alone delivers", "it lacks the file", "the mirror is out"])
def test_a_transfer_under_way_ends_when_its_mirror_may_not_go_on(store: Store, lines: list[Line], why: str) -> None:
    arriving = Arriving(store, replace(WHEEL, pieces=()), len(DATA))
    board, line = Board([arriving]), lines[1]
    run = Run(arriving, line, 0, len(arriving.states), whole=True)
    block = board.begin(run)
    assert block == 0
    if why == "another one alone delivers":
        arriving.only = 0
    elif why == "it lacks the file":
        line.lane.lacks[WHEEL.filename] = MirrorFailure("wrong", "its file has 3 bytes")
    else:
        line.lane.out = MirrorFailure("refused", "403")
    assert board.commit(run, block, memoryview(DATA)[: arriving.length(0)]) is None
    assert arriving.done_bytes == 0
    assert board.begin(run) is None
    arriving.close(board.condition)
