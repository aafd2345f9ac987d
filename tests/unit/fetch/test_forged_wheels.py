"""Wheels that are whole in themselves and not the lock's: one that ends early, ones that somebody has changed."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes, WrongBytes
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.unpacked import unpacked
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from tests.fakes.mirror import FakeMirror, Fault
from tests.unit.fetch.conftest import HASTE, Bring, Heard
from tests.unit.fetch.pieced import pieced, received

WHEEL, DATA = pieced(size=9 << 20)
NAME = WHEEL.filename
BARE = replace(WHEEL, pieces=())
SHARING = replace(HASTE, join=0.0, read=2.0)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def changed() -> bytes:
    """One byte of a member is another, and every checksum of the zip holds."""
    content = members(DATA)
    filling = bytearray(content["demo/filling.bin"])
    filling[5_000_000] ^= 1
    return packed({**content, "demo/filling.bin": bytes(filling)})


FORGED = {
    "truncated": DATA[: 5 << 20],
    "changed": changed(),
    "with one more file": packed({**members(DATA), "demo/evil.py": b"import os\n"}),
}
OTHER_SIZE = {"truncated", "with one more file"}


def test_the_forgeries_are_what_they_should_be() -> None:
    assert packed(members(DATA)) == DATA
    assert len(FORGED["changed"]) == len(DATA)
    assert members(FORGED["changed"]) != members(DATA)
    assert "demo/evil.py" in members(FORGED["with one more file"])


def contents(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("wheel", [WHEEL, BARE], ids=["pieces", "no pieces"])
@pytest.mark.parametrize("forgery", FORGED)
def test_beside_a_right_one(bring: Bring, store: Store, heard: Heard, forgery: str, wheel: Wheel, ranges: bool) -> None:
    with (
        FakeMirror({NAME: DATA}, rate=4e7, ranges=ranges) as liar,
        FakeMirror({NAME: DATA}, rate=4e7, delay=0.1) as fine,
    ):
        liar.faults[NAME] = Fault(body=FORGED[forgery])
        fetched = bring(wheel, liar.url, fine.url, patience=SHARING, unpack=True)
    assert fetched.files[NAME].read_bytes() == DATA
    assert contents(unpacked(store, wheel)) == members(DATA)
    first, last = fetched.transfers
    assert last.outcome == "fetched"
    if forgery in OTHER_SIZE:
        assert first.outcome == "wrong"
        assert re.search(f"its file (has|ends at) {len(FORGED[forgery])} bytes", str(first.error))
        assert received(fetched) <= len(DATA) + PIECE_SIZE
    elif first.outcome == "wrong":  # else the changed piece came from the other one
        assert f"{liar.url}: it delivers " in heard.text
        # the local header, the byte, the directory: all three pieces once more, one of them twice
        # without digests or ranges each mirror the whole file, together, and then alone
        assert received(fetched) <= (len(DATA) + 4 * PIECE_SIZE if wheel.pieces and ranges else 4 * (len(DATA) + BLOCK))


@pytest.mark.parametrize("wheel", [WHEEL, BARE], ids=["pieces", "no pieces"])
@pytest.mark.parametrize("forgery", FORGED)
def test_alone(bring: Bring, store: Store, forgery: str, wheel: Wheel) -> None:
    with FakeMirror({NAME: DATA}) as liar:
        liar.faults[NAME] = Fault(body=FORGED[forgery])
        with pytest.raises(WrongBytes) as caught:
            bring(wheel, liar.url, unpack=True)
    assert caught.value.exit_code == 13
    assert str(liar.port) in str(caught.value)
    assert store.has(wheel) is None
    assert store.unpacked(wheel) is None


@pytest.mark.parametrize("wheel", [WHEEL, BARE], ids=["pieces", "no pieces"])
def test_truncated_without_a_length(bring: Bring, store: Store, wheel: Wheel) -> None:
    """Nothing tells it from a transfer that is cut at the same place each time."""
    with FakeMirror({NAME: DATA}, chunked=True, ranges=False) as liar, FakeMirror({NAME: DATA}) as fine:
        liar.faults[NAME] = Fault(body=FORGED["truncated"])
        with pytest.raises(NoMirrorServes) as caught:
            bring(wheel, liar.url)
        assert "the transfer was cut at 5.2 MB" in caught.value.tried[0]
        assert store.has(wheel) is None
        assert bring(wheel, liar.url, fine.url).files[NAME].read_bytes() == DATA
