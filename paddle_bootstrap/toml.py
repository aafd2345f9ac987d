"""TOML files on every Python that the tool runs on: its library is in the standard one from 3.11 on."""

from __future__ import annotations

import functools
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOMLDecodeError = tomllib.TOMLDecodeError


def loads(text: str) -> dict[str, Any]:
    """The tables in ``text``. Raises TOMLDecodeError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TOMLDecodeError("brackets within brackets without end") from None


def read(path: Path) -> dict[str, Any]:
    """The tables of ``path``. Raises OSError, UnicodeDecodeError, TOMLDecodeError."""
    return loads(path.read_text(encoding="utf-8"))


def shipped(path: Path) -> dict[str, Any]:
    """The tables of a file that comes with the tool. Whoever reads the same text gets the same tables: not to be changed."""
    return _shared(path.read_text(encoding="utf-8"))


_shared = functools.lru_cache(maxsize=16)(loads)


def day(value: Any) -> date:
    """A day, written as TOML's own or as a string. Raises ValueError."""
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value))
