"""Members come out as they went in, whatever the order in which their bytes arrive."""

from __future__ import annotations

import random
import threading
import zipfile
from pathlib import Path

import pytest

from paddle_bootstrap.errors import RefusedWheel
from paddle_bootstrap.unpack.crew import Crew
from paddle_bootstrap.unpack.unpacking import BIG, Unpacking

PIECE = 64 * 1024


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """One large member, some small ones, one stored, one empty; compressed to about 700 kB."""
    path = tmp_path / "a-1-py3-none-any.whl"
    noise = random.Random(1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"a/small{number}.py", f"x = {number}\n" * 50)
        archive.writestr("a/libs/large.so", noise.randbytes(500_000) + bytes(3_000_000))
        archive.writestr("a/stored.bin", noise.randbytes(200_000), zipfile.ZIP_STORED)
        archive.writestr("a/empty", b"")
        script = zipfile.ZipInfo("a-1.data/scripts/run")
        script.external_attr = 0o100755 << 16
        archive.writestr(script, "#!python\n")
    return path


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_whole_wheel(wheel: Path, tmp_path: Path) -> None:
    size, ended = wheel.stat().st_size, threading.Event()
    crew = Crew(threading.Condition())
    crew.add(Unpacking(wheel, tmp_path / "out", lambda _: size, crew.news), ended.set)
    crew.close(finish=True)
    assert ended.is_set()
    assert found(tmp_path / "out") == contents(wheel)
    assert (tmp_path / "out/a-1.data/scripts/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/a/empty").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("seed", range(4))
def test_pieces_in_any_order(wheel: Path, tmp_path: Path, seed: int) -> None:
    """The end of the file is there first; the other pieces come one by one, and until then are zeros on the disk."""
    data, partial = wheel.read_bytes(), tmp_path / "partial"
    pieces = -(-len(data) // PIECE)
    there = bytearray(pieces)
    news = threading.Condition()

    def available(offset: int) -> int:
        gap = there.find(0, offset // PIECE)
        return len(data) if gap < 0 else max(offset, gap * PIECE)

    def arrive(piece: int) -> None:
        with partial.open("r+b") as file, news:
            file.seek(piece * PIECE)
            file.write(data[piece * PIECE : (piece + 1) * PIECE])
            there[piece] = 1
            news.notify_all()

    partial.write_bytes(bytes(len(data)))
    for piece in (pieces - 2, pieces - 1):
        arrive(piece)
    crew, ended = Crew(news), threading.Event()
    crew.add(Unpacking(partial, tmp_path / "out", available, news), ended.set)
    partial.rename(tmp_path / "another name")
    (tmp_path / "another name").rename(partial)
    rest = list(range(pieces - 2))
    random.Random(seed).shuffle(rest)
    for piece in rest:
        assert not ended.is_set()
        arrive(piece)
    crew.close(finish=True)
    assert found(tmp_path / "out") == contents(wheel)


def test_a_member_that_is_not_what_it_says_is_refused(wheel: Path, tmp_path: Path) -> None:
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo("a/stored.bin")
    data[info.header_offset + 100] ^= 1
    wheel.write_bytes(data)
    crew = Crew(threading.Condition())
    crew.add(Unpacking(wheel, tmp_path / "out", lambda _: len(data), crew.news), lambda: None)
    with pytest.raises(RefusedWheel, match=r"a/stored\.bin"):
        crew.close(finish=True)


def test_a_big_member_is_written_by_a_thread_of_its_own(tmp_path: Path) -> None:
    path, noise = tmp_path / "a-1-py3-none-any.whl", random.Random(2).randbytes(700_001)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/big.so", noise + bytes(BIG) + noise)
        archive.writestr("a/stored.so", bytes(BIG + 1), zipfile.ZIP_STORED)
    size = path.stat().st_size
    crew = Crew(threading.Condition())
    crew.add(Unpacking(path, tmp_path / "out", lambda _: size, crew.news), lambda: None)
    crew.close(finish=True)
    assert found(tmp_path / "out") == contents(path)


def test_a_member_that_cannot_be_inflated_is_refused(wheel: Path, tmp_path: Path) -> None:
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo("a/libs/large.so")
    data[info.header_offset + 45 : info.header_offset + 200] = b"\xff" * 155
    wheel.write_bytes(data)
    crew = Crew(threading.Condition())
    crew.add(Unpacking(wheel, tmp_path / "out", lambda _: len(data), crew.news), lambda: None)
    with pytest.raises(RefusedWheel, match=r"a/libs/large\.so"):
        crew.close(finish=True)


def test_it_stops_when_the_bytes_do_not_come(wheel: Path, tmp_path: Path) -> None:
    crew = Crew(threading.Condition())
    crew.add(Unpacking(wheel, tmp_path / "out", lambda offset: offset, crew.news), lambda: None)
    crew.close(finish=False)
    assert found(tmp_path / "out") == {}
