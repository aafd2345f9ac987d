"""Digests of files, and as the RECORD of a wheel writes them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

_CHUNK = 1 << 20  # bytes


def sha256_of(path: Path) -> str:
    """In hex, read in pieces."""
    return _digest(path, "sha256").hex()


def record_hash(content: bytes) -> str:
    """``sha256=...``, as the rows of a RECORD have it."""
    return _as_row("sha256", hashlib.sha256(content).digest())


def record_hash_of(path: Path, algorithm: str) -> str:
    """The same of a file, read in pieces. Raises ValueError for an algorithm that is not known here."""
    return _as_row(algorithm, _digest(path, algorithm))


def _as_row(algorithm: str, digest: bytes) -> str:
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _digest(path: Path, algorithm: str) -> bytes:
    digest, memory = hashlib.new(algorithm), memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(memory):
            digest.update(memory[:count])
    return digest.digest()
