"""The digests of every 4 MiB piece of a lock's wheels, in ``pylock.NAME.pieces.json`` beside the lock."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel

Digests = Mapping[str, tuple[str, ...]]  # file name -> sha256 of each piece, in order


def path_for(lock: Path) -> Path:
    """Where the digests of ``lock`` stand."""
    return lock.with_name(lock.name.removesuffix(".toml") + ".pieces.json")


def read(lock: Path) -> Digests:
    """The digests beside ``lock``; empty when it has none. Raises DamagedLock."""
    path = path_for(lock)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DamagedLock(f"{path}: {error}") from error
    if not isinstance(data, dict) or data.get("piece_size") != PIECE_SIZE or not isinstance(data.get("wheels"), dict):
        raise DamagedLock(f"{path}: not piece digests of {PIECE_SIZE} bytes")
    return {name: tuple(digests) for name, digests in data["wheels"].items()}


def attach(wheel: Wheel, digests: Digests, lock: Path) -> Wheel:
    """``wheel`` with its pieces. Raises DamagedLock when their number does not fit its size."""
    found = digests.get(wheel.filename)
    if found is None:
        return wheel
    if wheel.size is None or len(found) != -(-wheel.size // PIECE_SIZE):
        raise DamagedLock(f"{path_for(lock)}: {len(found)} pieces of {wheel.filename} do not make {wheel.size} bytes")
    return dataclasses.replace(wheel, pieces=found)


def of_file(path: Path) -> tuple[str, ...]:
    """The digests of the file at ``path``."""
    with path.open("rb") as file:
        return tuple(hashlib.sha256(piece).hexdigest() for piece in iter(lambda: file.read(PIECE_SIZE), b""))


def render(digests: Digests) -> str:
    """The text of a pieces file, the same for the same digests."""
    wheels = {name: list(digests[name]) for name in sorted(digests)}
    return json.dumps({"piece_size": PIECE_SIZE, "wheels": wheels}, indent=0) + "\n"
