"""What is handed over is kept in its order, and an error comes back to who hands over."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.unpack.behind import AT_ONCE, DEPTH, Behind, start_writing


def test_everything_is_kept_in_its_order() -> None:
    kept: list[bytes] = []
    with Behind(kept.append) as behind:
        for number in range(5000):
            behind.put(bytes([number % 256]) * 1000)
    assert b"".join(kept) == b"".join(bytes([number % 256]) * 1000 for number in range(5000))


def hand_over(keep: Callable[[bytes], object], pieces: Iterable[bytes]) -> None:
    with Behind(keep) as behind:
        for data in pieces:
            behind.put(data)


def test_a_full_disk_is_told_to_who_hands_over() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as told:  # noqa: PTH123
        hand_over(full.write, [bytes(AT_ONCE)] * 2 * DEPTH)
    assert told.value.errno == errno.ENOSPC


def test_the_last_bytes_count_too() -> None:
    with pytest.raises(ZeroDivisionError):
        hand_over(lambda data: 1 // len(data[1:]), [b"x"])


def test_who_hands_over_may_fail_himself() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        hand_over(lambda data: 1 // len(data[1:]), pieces())


def test_writing_begins_without_changing_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 100)
    with path.open("r+b") as file:
        start_writing(file.fileno(), 0, 25600)
    assert path.read_bytes() == bytes(range(256)) * 100
