"""Wheels with piece digests, and what a fetch's records add up to."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from paddle_bootstrap.fetch.fetch import Fetched
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from tests.fakes.mirror import make_wheel


def pieced(name: str = "demo", *, size: int) -> tuple[Wheel, bytes]:
    """A wheel as a shipped lock describes it."""
    wheel, data = make_wheel(name, size=size)
    starts = range(0, len(data), PIECE_SIZE)
    return replace(
        wheel, pieces=tuple(hashlib.sha256(data[start : start + PIECE_SIZE]).hexdigest() for start in starts)
    ), data


def received(fetched: Fetched) -> int:
    """Bytes from all mirrors."""
    return sum(record.bytes for record in fetched.transfers)
