"""Mirrors that deliver, or announce, other bytes than the lock's: named, and never in the store."""

from __future__ import annotations

import pytest

from paddle_bootstrap.errors import WrongBytes
from paddle_bootstrap.fetch.store import Store
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import Bring

WHEEL, DATA = make_wheel(size=300_000)
NAME = WHEEL.filename


def good() -> FakeMirror:
    return FakeMirror({NAME: DATA})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(wrong=True), "it delivers sha256"),
        (Fault(body=DATA[:-5]), f"its file has {len(DATA) - 5} bytes, the lock says {len(DATA)}"),
        (Fault(body=DATA + b"more"), f"its file has {len(DATA) + 4} bytes"),
    ],
    ids=["flipped", "shorter", "longer"],
)
def test_wrong_bytes(bring: Bring, store: Store, fault: Fault, reason: str) -> None:
    with good() as liar, good() as fine:
        liar.faults[NAME] = fault
        with pytest.raises(WrongBytes) as caught:
            bring(WHEEL, liar.url)
        assert caught.value.exit_code == 13
        assert liar.root.removeprefix("http://") in str(caught.value)
        assert reason in caught.value.tried[0]
        assert store.has(WHEEL) is None
        assert list((store.root / "partial").iterdir()) == []
        fetched = bring(WHEEL, liar.url, fine.url)
    assert [record.outcome for record in fetched.transfers] == ["wrong", "fetched"]
    assert fetched.files[NAME].read_bytes() == DATA


def test_more_than_the_file_without_a_length(bring: Bring) -> None:
    """Bytes after the last one are nobody's business."""
    with FakeMirror({NAME: DATA}, chunked=True) as mirror:
        mirror.faults[NAME] = Fault(body=DATA + b"more")
        assert bring(WHEEL, mirror.url).files[NAME].read_bytes() == DATA


def test_a_short_file_without_a_length(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, chunked=True) as mirror:
        mirror.faults[NAME] = Fault(body=DATA[:-5])
        with pytest.raises(WrongBytes) as caught:
            bring(WHEEL, mirror.url)
    assert f"its file ends at {len(DATA) - 5} bytes" in caught.value.tried[0]


def test_a_page_that_announces_other_bytes_costs_no_download(bring: Bring) -> None:
    with FakeMirror({NAME: b"other build, same name"}) as other, pytest.raises(WrongBytes) as caught:
        bring(WHEEL, other.url)
    assert "announces sha256" in caught.value.tried[0]
    assert other.served(NAME) == []


def test_every_liar_is_named_and_silence_does_not_hide_them(bring: Bring) -> None:
    with good() as one, good() as two, FakeMirror({}) as without:
        one.faults[NAME] = two.faults[NAME] = Fault(wrong=True)
        with pytest.raises(WrongBytes) as caught:
            bring(WHEEL, one.url, without.url, two.url)
    assert str(one.port) in str(caught.value)
    assert str(two.port) in str(caught.value)
    assert str(without.port) not in str(caught.value)
    assert len(caught.value.tried) == 3


def test_a_good_mirror_is_not_blamed_for_what_another_left(bring: Bring) -> None:
    with good() as liar, good() as fine:
        liar.faults[NAME] = Fault(body=bytes(len(DATA)), cut_after=150_000, times=1, then=Fault(status=403))
        fetched = bring(WHEEL, liar.url, fine.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["wrong", "fetched"]
