"""TOML files on every Python that the tool runs on: its library is in the standard one from 3.11 on."""

from __future__ import annotations

import sys
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
