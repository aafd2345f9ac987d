"""The digests of every 4 MiB piece of a lock's wheels, in ``pylock.NAME.pieces.json`` beside the lock."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel

Digests = Mapping[str, tuple[str, ...]]  # file name -> sha256 of each piece, in order
HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Measured:
    """A file as its bytes are."""

    size: int  # bytes
    sha256: str
    pieces: tuple[str, ...]


def path_for(lock: Path) -> Path:
    """Where the digests of ``lock`` stand."""
    return lock.with_name(lock.name.removesuffix(".toml") + ".pieces.json")


def read(lock: Path) -> Digests | None:
    """The digests beside ``lock``; None when it has none. Raises DamagedLock."""
    path = path_for(lock)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedLock(f"{path}: {error}") from error
    wheels = data.get("wheels") if isinstance(data, dict) and data.get("piece_size") == PIECE_SIZE else None
    if not isinstance(wheels, dict):
        raise DamagedLock(f"{path}: not piece digests of {PIECE_SIZE} bytes")
    for name, digests in wheels.items():
        if not isinstance(digests, list) or not all(isinstance(item, str) and HEX.fullmatch(item) for item in digests):
            raise DamagedLock(f"{path}: the digests of {name} are not sha256 in lower-case hex")
    return {name: tuple(digests) for name, digests in wheels.items()}


def attach(wheels: Sequence[Wheel], lock: Path) -> tuple[Wheel, ...]:
    """``wheels`` with the digests beside ``lock``. Raises DamagedLock when those are there and disagree with it."""
    digests = read(lock)
    if digests is None:
        return tuple(wheels)
    return tuple(dataclasses.replace(wheel, pieces=_agreeing(wheel, digests, path_for(lock))) for wheel in wheels)


def _agreeing(wheel: Wheel, digests: Digests, path: Path) -> tuple[str, ...]:
    found = digests.get(wheel.filename)
    if found is None:
        raise DamagedLock(f"{path}: has no digests of {wheel.filename}, which the lock holds")
    if wheel.size is None or len(found) != -(-wheel.size // PIECE_SIZE):
        raise DamagedLock(f"{path}: {len(found)} pieces of {wheel.filename} do not make {wheel.size} bytes")
    if len(found) == 1 and found[0] != wheel.sha256:
        raise DamagedLock(f"{path}: the one piece of {wheel.filename} has another sha256 than the file")
    return found


def measure(path: Path) -> Measured:
    """Size and digests of the file at ``path``, read once."""
    whole, size, pieces = hashlib.sha256(), 0, []
    with path.open("rb") as file:
        while piece := file.read(PIECE_SIZE):
            whole.update(piece)
            size += len(piece)
            pieces.append(hashlib.sha256(piece).hexdigest())
    return Measured(size, whole.hexdigest(), tuple(pieces))


def render(digests: Digests) -> str:
    """The text of a pieces file, the same for the same digests."""
    wheels = {name: list(digests[name]) for name in sorted(digests)}
    return json.dumps({"piece_size": PIECE_SIZE, "wheels": wheels}, indent=0) + "\n"


def unpacked_size(wheel: Path) -> int:
    """Bytes of all files in ``wheel``, unpacked: its central directory says so."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(member.file_size for member in archive.infolist())
