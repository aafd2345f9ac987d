"""Wrong bytes: the store gets the right ones, whoever sent others is named and left alone, and little is fetched twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddle_bootstrap.errors import DamagedLock, WrongBytes
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from tests.fakes.mirror import FakeMirror, Fault
from tests.unit.fetch.conftest import HASTE, Bring, Heard
from tests.unit.fetch.pieced import pieced, received

WHEEL, DATA = pieced(size=11 << 20)
NAME = WHEEL.filename
BARE = replace(WHEEL, pieces=())
SHARING = replace(HASTE, join=0.0, read=2.0)
EVERYWHERE = tuple(range(100_000, len(DATA), len(DATA) // 12))


def serving(rate: float = 1.2e7) -> FakeMirror:
    return FakeMirror({NAME: DATA}, rate=rate)


@pytest.mark.parametrize("flips", [(3,), (9_000_000,), EVERYWHERE], ids=str)
@pytest.mark.parametrize("liar_first", [True, False])
def test_a_liar_among_two(bring: Bring, heard: Heard, flips: tuple[int, ...], liar_first: bool) -> None:
    with serving() as liar, serving() as fine:
        liar.faults[NAME] = Fault(flips=flips)
        mirrors = (liar, fine) if liar_first else (fine, liar)
        fetched = bring(WHEEL, *[mirror.url for mirror in mirrors], patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    told = [record for record in fetched.transfers if str(liar.port) in record.mirror]
    good = [record for record in fetched.transfers if str(fine.port) in record.mirror]
    assert [record.outcome for record in good] == ["fetched"]
    if "wrong" in {record.outcome for record in told}:  # else its byte was fetched from the other one
        assert told[0].wrong_pieces >= 1
        assert "wrong bytes (piece" in str(told[0].error)
        assert f"{liar.url}: it delivers wrong bytes" in heard.text
    assert told[0].outcome == "wrong" or len(flips) == 1
    assert received(fetched) <= len(DATA) + 4 * PIECE_SIZE  # all three pieces once more, one of them twice


@pytest.mark.parametrize("wheel", [WHEEL, BARE], ids=["pieces", "no pieces"])
def test_only_a_liar_is_left(bring: Bring, store: Store, wheel: Wheel) -> None:
    with serving(1e8) as liar:
        liar.faults[NAME] = Fault(flips=(9_000_000,))
        with pytest.raises(WrongBytes) as caught:
            bring(wheel, liar.url)
    assert caught.value.exit_code == 13
    assert str(liar.port) in str(caught.value)
    assert store.has(WHEEL) is None


@pytest.mark.parametrize("liar_first", [True, False])
def test_without_piece_digests_the_liar_is_found_by_comparing(bring: Bring, liar_first: bool) -> None:
    with serving() as liar, serving() as fine:
        liar.faults[NAME] = Fault(flips=EVERYWHERE)
        mirrors = (liar, fine) if liar_first else (fine, liar)
        fetched = bring(BARE, *[mirror.url for mirror in mirrors], patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    outcomes = {record.mirror.split(":")[2][:5]: record.outcome for record in fetched.transfers}
    assert outcomes == {str(liar.port)[:5]: "wrong", str(fine.port)[:5]: "fetched"}
    assert received(fetched) <= 2.6 * len(DATA)  # the whole, the other mirror's part once more, and the whole again


def test_two_liars_and_one_who_is_right(bring: Bring) -> None:
    with serving() as one, serving() as two, serving() as fine:
        one.faults[NAME] = Fault(flips=EVERYWHERE)
        two.faults[NAME] = Fault(flips=tuple(offset + 1 for offset in EVERYWHERE))
        fetched = bring(WHEEL, one.url, two.url, fine.url, patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["wrong", "wrong", "fetched"]


def test_a_liar_that_is_cut_all_the_time(bring: Bring) -> None:
    """No piece comes from one answer alone, and still it ends."""
    with serving(1e8) as liar, serving(1e8) as fine:
        liar.faults[NAME] = Fault(flips=EVERYWHERE, cut_after=1_000_000)
        fine.faults[NAME] = Fault(cut_after=1_000_000)
        fetched = bring(WHEEL, liar.url, fine.url, patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["wrong", "fetched"]


def test_a_liar_without_ranges(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, rate=1e7, ranges=False) as liar, serving() as fine:
        liar.faults[NAME] = Fault(flips=EVERYWHERE)
        fetched = bring(WHEEL, liar.url, fine.url, patience=replace(SHARING, join=0.4))
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[0].outcome == "wrong"


def test_piece_digests_of_another_file(bring: Bring) -> None:
    with (
        FakeMirror({NAME: DATA}, hashes=False) as mirror,
        pytest.raises(DamagedLock, match="piece digests"),
    ):
        bring(replace(WHEEL, sha256="0" * 64), mirror.url)
