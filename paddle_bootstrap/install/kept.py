"""The last state of a target, kept beside it.

The exchange leaves the old target where the clone stood. The clone carries that place's name, so the one exchange that brings
the new state also says where the old one is: there is no moment in which a kept state is mistaken for what a killed run left.
"""

from __future__ import annotations

import re
from pathlib import Path

from paddle_bootstrap.install.receipt import FOLDER
from paddle_bootstrap.replacing import replace_file

_MARK = ".paddle-bootstrap-"
_TOKEN = re.compile("[0-9a-f]{8}")
_POINTER = "kept"


def sibling(target: Path, token: str) -> Path:
    """The place beside ``target`` that ``token``, eight hexadecimal digits, names."""
    return target.parent / f".{target.name}{_MARK}{token}"


def siblings(target: Path) -> list[Path]:
    """Everything of ours that stands beside ``target``."""
    start = sibling(target, "").name
    try:
        found = list(target.parent.iterdir())
    except OSError:
        return []
    return [path for path in found if path.name.startswith(start) and _TOKEN.fullmatch(path.name.removeprefix(start))]


def read(target: Path) -> Path | None:
    """Where the last state of ``target`` is kept, if it is."""
    try:
        token = (target / FOLDER / _POINTER).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    path = sibling(target, token)
    return path if _TOKEN.fullmatch(token) and path.is_dir() and not path.is_symlink() else None


def announce(place: Path) -> tuple[Path, Path]:
    """Say in ``place``, a sibling, that what it will change places with is its last state; returns what was written."""
    pointer = place / FOLDER / _POINTER
    pointer.parent.mkdir(exist_ok=True)
    replace_file(pointer, place.name[-8:].encode() + b"\n", 0o644)
    return pointer.parent, pointer


def forget(env: Path) -> None:
    """Afterwards nothing is kept of ``env``: the sibling is a leftover."""
    (env / FOLDER / _POINTER).unlink(missing_ok=True)
