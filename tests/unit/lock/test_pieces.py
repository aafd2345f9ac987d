"""The digests of 4 MiB pieces: they agree with the lock, or the lock is damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.lock import pieces, pylock
from paddle_bootstrap.lock.model import PIECE_SIZE
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import LIBRARY, SHA, WHEEL, write

OTHER = "f" * 64
SOUND: dict[str, Any] = {WHEEL: [SHA], LIBRARY: [OTHER, SHA, OTHER]}  # 2 kB, and 9 MB: three pieces


def beside(lock: Path, wheels: object, size: int = PIECE_SIZE) -> Path:
    path = pieces.path_for(lock)
    path.write_text(json.dumps({"piece_size": size, "wheels": wheels}), encoding="utf-8")
    return path


def test_digests_reach_the_wheels(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert beside(path, SOUND).name == "pylock.demo.pieces.json"
    selection = pylock.select(pylock.read(path), cpython("3.11"))
    assert [wheel.pieces for wheel in selection.wheels] == [(SHA,), (OTHER, SHA, OTHER)]


def test_a_lock_without_digests_is_still_a_lock(tmp_path: Path) -> None:
    selection = pylock.select(pylock.read(write(tmp_path)), cpython("3.11"))
    assert [wheel.pieces for wheel in selection.wheels] == [(), ()]


DAMAGE: dict[str, tuple[object, str]] = {
    "a wheel is missing": ({WHEEL: [SHA]}, f"has no digests of {LIBRARY}, which the lock holds"),
    "a piece is missing": ({**SOUND, LIBRARY: [OTHER, SHA]}, f"2 pieces of {LIBRARY} do not make 9000000 bytes"),
    "a piece too many": ({**SOUND, WHEEL: [SHA, SHA]}, f"2 pieces of {WHEEL} do not make 2000 bytes"),
    "no pieces": ({**SOUND, WHEEL: []}, f"0 pieces of {WHEEL} do not make 2000 bytes"),
    "the one piece is not the file": ({**SOUND, WHEEL: [OTHER]}, f"the one piece of {WHEEL} has another sha256"),
    "upper case": ({**SOUND, WHEEL: [SHA.upper()]}, f"the digests of {WHEEL} are not sha256 in lower-case hex"),
    "no text": ({**SOUND, WHEEL: [5]}, f"the digests of {WHEEL} are not sha256"),
    "no list": ({**SOUND, WHEEL: SHA}, f"the digests of {WHEEL} are not sha256"),
    "no table": ([SOUND], "not piece digests of 4194304 bytes"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_digests_that_disagree_with_the_lock(case: str, tmp_path: Path) -> None:
    wheels, told = DAMAGE[case]
    lock = pylock.read(write(tmp_path))
    path = beside(lock.path, wheels)
    with pytest.raises(DamagedLock) as caught:
        pylock.select(lock, cpython("3.11"))
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800"])
def test_digests_that_are_no_json_of_ours(text: str, tmp_path: Path) -> None:
    lock = pylock.read(write(tmp_path))
    pieces.path_for(lock.path).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DamagedLock, match=r"pieces\.json: "):
        pylock.select(lock, cpython("3.11"))


def test_pieces_of_another_size_are_refused(tmp_path: Path) -> None:
    lock = pylock.read(write(tmp_path))
    beside(lock.path, SOUND, size=1 << 20)
    with pytest.raises(DamagedLock, match="not piece digests of 4194304 bytes"):
        pylock.select(lock, cpython("3.11"))


@pytest.mark.parametrize("size", [0, 1, PIECE_SIZE, PIECE_SIZE + 1])
def test_a_file_is_measured_whole_and_in_pieces(size: int, tmp_path: Path) -> None:
    data = hashlib.shake_128(b"seed").digest(size)
    (tmp_path / "file").write_bytes(data)
    parts = [data[start : start + PIECE_SIZE] for start in range(0, size, PIECE_SIZE)]
    assert pieces.measure(tmp_path / "file") == pieces.Measured(
        size, hashlib.sha256(data).hexdigest(), tuple(hashlib.sha256(part).hexdigest() for part in parts)
    )
