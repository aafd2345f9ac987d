"""Digests that others recorded of wheels from Paddle's own hosts: ``recorded.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap import toml

TABLE = Path(__file__).with_name("recorded.toml")


@dataclass(frozen=True)
class Recorded:
    """What ``source`` saw under ``file`` in ``folder`` of the Paddle index."""

    folder: str
    file: str
    sha256: str
    source: str
    size: int | None = None


def recorded(folder: str | None, file: str, table: Path = TABLE) -> Recorded | None:
    """The record of ``file`` in the build's ``folder``; None when nobody has told."""
    rows = (Recorded(**row) for row in toml.read(table)["wheel"])
    return next((row for row in rows if (row.folder, row.file) == (folder, file)), None)
