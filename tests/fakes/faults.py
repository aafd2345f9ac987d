"""What mirrors do wrong, as data, and what they were asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class Fault:
    """What goes wrong with one file, ``times`` times (None: for ever)."""

    status: int | None = None  # answer this instead
    retry_after: str | None = None
    wrong: bool = False  # same length, one byte flipped
    body: bytes | None = None  # deliver these bytes instead
    content_type: str = "application/octet-stream"
    cut_after: int | None = None  # close the connection after so many bytes of each answer
    silent: threading.Event | None = None  # say nothing, not even a status line, until this is set
    stall_after: int | None = None  # with ``silent``: send so many bytes first
    pace: float = 0.0  # seconds between each 64 kB of a stalled answer
    drip_after: int | None = None  # with ``silent``: send so many bytes, then a byte every 20 ms
    flips: tuple[int, ...] = ()  # offsets in the file of bytes that are delivered wrong
    redirect: str | None = None
    hang_up: bool = False  # close the connection instead of an answer
    range_shift: int = 0  # answer a range with one that starts so many bytes later
    times: int | None = None
    then: Fault | None = None  # after ``times``


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    connection: int  # which connection it came on
