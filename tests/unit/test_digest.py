"""Digests as sha256sum and pip write them, of files of any size."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from paddle_bootstrap.digest import record_hash, record_hash_of, sha256_of

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMPTY_ROW = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of every empty __init__.py in a RECORD


def test_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert (sha256_of(tmp_path / "x"), record_hash(b""), record_hash_of(tmp_path / "x", "sha256")) == (
        EMPTY,
        EMPTY_ROW,
        EMPTY_ROW,
    )


@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (3 << 20) + 1])
def test_in_pieces(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "x").write_bytes(content[:size])
    assert sha256_of(tmp_path / "x") == hashlib.sha256(content[:size]).hexdigest()
    assert record_hash_of(tmp_path / "x", "sha256") == record_hash(content[:size])
    assert record_hash_of(tmp_path / "x", "sha512").startswith("sha512=")


def test_a_big_file_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(32 << 20)
    tracemalloc.start()
    try:
        sha256_of(tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_algorithm_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ValueError, match="unsupported"):
        record_hash_of(tmp_path / "x", "sha0")
