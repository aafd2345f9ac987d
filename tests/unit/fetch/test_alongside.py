"""Wheels are unpacked while they arrive, and have their name only when they are right."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import WrongBytes
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.unpacked import unpack_missing, unpacked
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.pieces import measure
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import Bring


def with_pieces(wheel: Wheel, data: bytes, tmp_path: Path) -> Wheel:
    path = tmp_path / wheel.filename
    path.write_bytes(data)
    return replace(wheel, pieces=measure(path).pieces)


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [2_000, 14_000_000])
def test_a_wheel_with_digests(bring: Bring, store: Store, tmp_path: Path, size: int) -> None:
    wheel, data = make_wheel(size=size)
    wheel = with_pieces(wheel, data, tmp_path)
    with FakeMirror({wheel.filename: data}) as mirror:
        path = bring(wheel, mirror.url, unpack=True).files[wheel.filename]
    place = store.unpacked(wheel)
    assert place
    assert found(place) == contents(path)
    assert not any((store.root / "unpacking").iterdir())


def test_without_digests_it_is_unpacked_afterwards(bring: Bring, store: Store) -> None:
    wheel, data = make_wheel(size=300_000)
    with FakeMirror({wheel.filename: data}) as mirror:
        path = bring(wheel, mirror.url, unpack=True).files[wheel.filename]
    assert store.unpacked(wheel) is None
    unpack_missing(store, [wheel])
    assert found(unpacked(store, wheel)) == contents(path)


def test_a_liar_leaves_nothing_unpacked(bring: Bring, store: Store, tmp_path: Path) -> None:
    wheel, data = make_wheel(size=9_000_000)
    wheel = with_pieces(wheel, data, tmp_path)
    with FakeMirror({wheel.filename: data}) as liar, FakeMirror({wheel.filename: data}) as fine:
        liar.faults[wheel.filename] = Fault(body=bytes(len(data)))
        with pytest.raises(WrongBytes):
            bring(wheel, liar.url, unpack=True)
        assert store.unpacked(wheel) is None
        path = bring(wheel, liar.url, fine.url, unpack=True).files[wheel.filename]
    assert found(unpacked(store, wheel)) == contents(path)


def test_unpacking_ends_when_the_rest_cannot_be_had(bring: Bring, store: Store, tmp_path: Path) -> None:
    """The directory came and the unpacking began; a piece in the middle never comes right."""
    wheel, data = make_wheel(size=30_000_000)
    wheel = with_pieces(wheel, data, tmp_path)
    wrong = bytearray(data)
    wrong[9_000_000] ^= 1
    with FakeMirror({wheel.filename: data}) as liar:
        liar.faults[wheel.filename] = Fault(body=bytes(wrong))
        with pytest.raises(WrongBytes):
            bring(wheel, liar.url, unpack=True)
    assert store.unpacked(wheel) is None


def test_an_edited_file_is_unpacked_again(bring: Bring, store: Store) -> None:
    wheel, data = make_wheel(size=1000)
    with FakeMirror({wheel.filename: data}) as mirror:
        path = bring(wheel, mirror.url).files[wheel.filename]
    (unpacked(store, wheel) / "demo/filling.bin").write_bytes(b"edited")
    assert found(unpacked(store, wheel)) != contents(path)
    assert found(unpacked(store, wheel, again=True)) == contents(path)
