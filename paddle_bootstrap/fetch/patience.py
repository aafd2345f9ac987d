"""How long to wait for a mirror, and what the user allows, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds, bytes and counts. The values are uv's (read, connect, retries) and librepo's (floor)."""

    connect: float = 10.0  # seconds until a connection, TLS included, stands
    read: float = 30.0  # seconds of silence
    retries: int = 3  # attempts in a row that bring no progress, per mirror and file
    pause: float = 0.5  # seconds before the first of them; doubles
    progress: int = 64 * 1024  # bytes that make an attempt count as progress
    floor: float = 1000.0  # bytes per second, over a whole ``read``: slower is as good as silent
    stall: float = 3.0  # seconds that a connection may be silent, or slow, while it or others can do better
    drip: float = 0.1  # a share of what it has done before, or of what its siblings do: slower than that is slow
    trickle: float = 0.5  # seconds that one may be so slow that sends all the time while most of its siblings do better
    join: float = 0.1  # seconds between the starts of two mirrors
    hush: float = 1.0  # the same, before a byte has come from anybody
    silence: float = 0.7  # seconds that an index page may be silent before it is asked for a second time
    soon: float = 1.0  # seconds: no further mirror is asked for what will be there by then


@dataclass(frozen=True)
class Terms:
    """What the user allows."""

    connections: int | None = None  # to each mirror, at most; None: what its row says
    limit_rate: float | None = None  # bytes per second, of all connections together
    trusted_hosts: tuple[str, ...] = ()  # HOST or HOST:PORT whose certificate is not checked
