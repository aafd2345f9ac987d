"""What a measurement of the mirrors found, remembered for a day as the order in which to ask them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors.model import Mirror, identity
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.replacing import replace_file

FRESH = 86400.0  # seconds
SCHEMA = 1


@dataclass(frozen=True)
class Measured:
    """One mirror and the wanted file. ``reason`` says why it is out; then there is no speed."""

    mirror: Mirror
    speed: float | None = None  # bytes per second, from asking for the range to its last byte
    first_byte: float | None = None  # seconds
    received: int = 0  # bytes
    reason: str = ""


def remember(found: Sequence[Measured], environ: Mapping[str, str], *, now: float | None = None) -> None:
    """Keep the order of ``found``, best first. Where nothing can be written, a warning: the next fetch works without."""
    rows = [
        {"mirror": _key(measured.mirror), "serves": measured.speed is not None, "speed": measured.speed}
        for measured in found
    ]
    text = json.dumps({"schema": SCHEMA, "measured": now or time.time(), "mirrors": rows}, indent=1)
    path = _path(environ)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), 0o600, keep_owner=True)
    except OSError as error:
        progress.warn(f"the order of the mirrors is not remembered: {path}: {error.strerror}")


def ordered(mirrors: Sequence[Mirror], environ: Mapping[str, str]) -> list[Mirror]:
    """``mirrors`` by priority, and of the same priority by a fresh ranking: who serves, then unknown ones, then the rest."""
    places = _places(environ)
    return sorted(mirrors, key=lambda mirror: (mirror.priority, *places.get(_key(mirror), (1, 0))))


def seconds(size: int, mirrors: Sequence[Mirror], environ: Mapping[str, str]) -> float | None:
    """How long ``size`` bytes take from the fastest of ``mirrors`` by a fresh ranking; None: nothing was measured."""
    keys = {_key(mirror) for mirror in mirrors}
    speeds = [row.get("speed") for row in _rows(environ) if row["mirror"] in keys]
    fastest = max((speed for speed in speeds if isinstance(speed, (int, float)) and speed > 0), default=None)
    return round(size / fastest, 1) if fastest else None


def _places(environ: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Mirror -> its place."""
    return {row["mirror"]: (0 if row["serves"] is True else 2, place) for place, row in enumerate(_rows(environ))}


def _rows(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of each mirror what was measured. Nothing when there is no ranking, or an old one, or one that is not ours."""
    try:
        data = json.loads(_path(environ).read_bytes())
        if data["schema"] != SCHEMA or not 0 <= time.time() - data["measured"] < FRESH:
            return []
        return [{**row, "mirror": str(row["mirror"]), "serves": row["serves"]} for row in data["mirrors"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _key(mirror: Mirror) -> str:
    return redact(identity(mirror.url))


def _path(environ: Mapping[str, str]) -> Path:
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/") / ".cache"
    return Path(cache) / "paddle-bootstrap" / "ranking.json"
