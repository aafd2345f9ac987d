"""One file from several mirrors and connections at once, and never more of them than allowed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.mirrors.model import mirror_at
from tests.fakes.mirror import FakeMirror, Fault
from tests.unit.fetch.conftest import HASTE, Bring, Heard
from tests.unit.fetch.pieced import pieced, received

WHEEL, DATA = pieced(size=6 << 20)
BIG, BIG_DATA = pieced("big", size=16 << 20)
SHARING = replace(HASTE, join=0.05, read=2.0)


@pytest.mark.parametrize("rates", [(4e6, 4e6), (1e6, 2e6, 6e6), (3e6, 2e6)])
def test_mirrors_share_a_file(bring: Bring, rates: Sequence[float]) -> None:
    with contextlib.ExitStack() as stack:
        mirrors = [stack.enter_context(FakeMirror({WHEEL.filename: DATA}, rate=rate)) for rate in rates]
        began = time.monotonic()
        fetched = bring(WHEEL, *[mirror.url for mirror in mirrors], patience=SHARING)
        took = time.monotonic() - began
    assert fetched.files[WHEEL.filename].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["fetched"] * len(rates)
    assert all(
        record.bytes > len(DATA) * rate / sum(rates) / 3 for record, rate in zip(fetched.transfers, rates, strict=True)
    )
    asked_twice = BLOCK * sum(
        record.connections for record in fetched.transfers
    )  # what is in the air when others are quicker
    assert received(fetched) <= len(DATA) + asked_twice
    assert took < len(DATA) / max(rates)


def test_a_small_file_comes_from_the_first_mirror_alone(bring: Bring) -> None:
    small, data = pieced("small", size=300_000)
    with FakeMirror({small.filename: data}) as first, FakeMirror({small.filename: data}) as second:
        bring(small, first.url, second.url, patience=replace(HASTE, join=0.5))
    assert second.requests == []


def test_the_rest_of_a_slow_connection_is_shared(bring: Bring) -> None:
    """The first mirror would need 20 s for what it has taken."""
    with FakeMirror({WHEEL.filename: DATA}, rate=2e5) as slow, FakeMirror({WHEEL.filename: DATA}, rate=8e6) as fast:
        began = time.monotonic()
        fetched = bring(WHEEL, slow.url, fast.url, patience=SHARING)
    assert time.monotonic() - began < 4
    assert received(fetched) <= len(DATA) + 4 * BLOCK  # what each of its connections had of one when it was helped


def test_a_first_byte_that_takes_long(bring: Bring) -> None:
    with FakeMirror({WHEEL.filename: DATA}, delay=0.15) as far, FakeMirror({WHEEL.filename: DATA}, rate=4e6) as near:
        fetched = bring(WHEEL, far.url, near.url, patience=SHARING)
    assert fetched.files[WHEEL.filename].read_bytes() == DATA
    assert received(fetched) <= len(DATA) * 1.05


@pytest.mark.parametrize("first", [True, False])
def test_a_mirror_without_ranges_takes_part(bring: Bring, first: bool) -> None:
    plain = FakeMirror({WHEEL.filename: DATA}, rate=4e6, ranges=False)
    ranged = FakeMirror({WHEEL.filename: DATA}, rate=4e6)
    with plain, ranged:
        order = (plain, ranged) if first else (ranged, plain)
        fetched = bring(WHEEL, *[mirror.url for mirror in order], patience=SHARING)
    assert fetched.files[WHEEL.filename].read_bytes() == DATA
    (record,) = [record for record in fetched.transfers if record.mirror == plain.url]
    assert record.bytes <= len(DATA)  # one connection reads all; the others find that it does


def test_connections_grow_up_to_the_cap(bring: Bring) -> None:
    with FakeMirror({BIG.filename: BIG_DATA}, rate=5e6) as mirror:
        fetched = bring(BIG, mirror_at(mirror.url, connections=3), patience=SHARING)
    assert mirror.busiest in (3, 4)  # it may count one that was just closed
    assert fetched.transfers[0].connections == 3


def test_the_flag_outranks_the_row(bring: Bring) -> None:
    with FakeMirror({WHEEL.filename: DATA}, rate=6e6) as mirror:
        bring(WHEEL, mirror_at(mirror.url, connections=3), patience=SHARING, terms=Terms(connections=1))
    assert mirror.busiest == 1


def test_a_limited_rate(bring: Bring) -> None:
    with FakeMirror({WHEEL.filename: DATA}) as mirror:
        began = time.monotonic()
        fetched = bring(WHEEL, mirror.url, terms=Terms(limit_rate=5e6))
    assert time.monotonic() - began >= len(DATA) / 5e6 - 0.1
    assert fetched.transfers[0].errors == 0


def test_a_rate_below_one_block_per_patience_is_no_silence(bring: Bring) -> None:
    small, data = pieced("small", size=30_000)
    with FakeMirror({small.filename: data}) as mirror:
        fetched = bring(small, mirror.url, terms=Terms(limit_rate=3e4), patience=replace(HASTE, stall=0.2))
    assert fetched.transfers[0].errors == 0


@pytest.mark.parametrize("status", [403, 503])
def test_one_connection_too_many_is_not_asked_for_again(bring: Bring, status: int) -> None:
    refusal = Fault(status=status, retry_after="1")
    with FakeMirror({BIG.filename: BIG_DATA}, rate=5e6, most=2, too_many=refusal) as mirror:
        fetched = bring(BIG, mirror.url, patience=SHARING)
    assert fetched.files[BIG.filename].read_bytes() == BIG_DATA
    assert 1 <= fetched.transfers[0].errors <= 3
    assert received(fetched) <= len(BIG_DATA) * 1.05


def test_the_sum_of_all_files_is_told(bring: Bring, heard: Heard) -> None:
    with FakeMirror({WHEEL.filename: DATA, BIG.filename: BIG_DATA}, rate=2e7) as mirror:
        bring([WHEEL, BIG], mirror.url)
    assert heard.totals
    assert {total for _, total in heard.totals} == {len(DATA) + len(BIG_DATA)}
