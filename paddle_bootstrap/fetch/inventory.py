"""What a store holds, how big it is, and whether it is still what it was. Removing takes names away first, in one step each."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paddle_bootstrap.errors import CouldNotLook, UsageError
from paddle_bootstrap.fetch.store import Store, bytecode_of
from paddle_bootstrap.filelock import held

_SHA256 = re.compile("[0-9a-f]{64}")
_PARTIAL = re.compile(r"([0-9a-f]{64}|first-use-[0-9a-f]{32})\.\w+")
_OURS = frozenset({"wheels", "partial", "unpacked", "unpacking", "targets", "locks", "lock", "ranking.json"})


@dataclass(frozen=True)
class Stored:
    """One wheel: as a file, unpacked, or both. Bytes are what is taken on the disk."""

    name: str  # its file's name; of one that is here only unpacked: NAME-VERSION
    sha256: str
    wheel: Path | None
    unpacked: Path | None
    wheel_bytes: int
    unpacked_bytes: int
    touched: float  # when it came, seconds since 1970


@dataclass(frozen=True)
class Rest:
    """What a fetch has brought so far, or what a killed run left of an unpacking."""

    kind: Literal["partial", "leftover"]
    path: Path
    bytes: int
    touched: float


@dataclass(frozen=True)
class Inventory:
    """Everything in a store."""

    wheels: tuple[Stored, ...]  # biggest first
    rests: tuple[Rest, ...]


def read(store: Store) -> Inventory:
    """Look at everything; a store that is not there is empty. Raises UsageError for what is no store, CouldNotLook."""
    _require_store(store.root)
    found: dict[str, tuple[Path | None, Path | None]] = {}
    for path in _below(store.root / "wheels" / "sha256", 3):
        if path.suffix == ".whl":
            found[path.parent.name] = (path, None)
    for path in _below(store.root / "unpacked", 2):
        found[path.name] = (found.get(path.name, (None, None))[0], path)
    wheels = [_stored(sha256, *places) for sha256, places in found.items() if _SHA256.fullmatch(sha256)]
    return Inventory(
        tuple(sorted(wheels, key=lambda each: (-_size(each), each.name, each.sha256))), tuple(_rests(store))
    )


def _below(folder: Path, levels: int) -> Iterator[Path]:
    """What stands so many levels below ``folder``. Raises CouldNotLook: what cannot be seen is not sound."""
    try:
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise CouldNotLook(
            f"{folder} cannot be read: {error.strerror}", hint="run it as the one who owns the store"
        ) from error
    for path in inside:
        yield from [path] if levels == 1 else _below(path, levels - 1)


def _require_store(root: Path) -> None:
    """What else stands at ``root`` is not ours to call sound, nor to remove."""
    told = [] if root.is_dir() or not os.path.lexists(root) else ["it is no directory"]
    if root.is_dir() and not (root / "wheels" / "sha256").is_dir():
        told = [f"it holds {name}" for name in sorted(path.name for path in root.iterdir()) if name not in _OURS]
    if told:
        raise UsageError(
            f"{root} is no store of wheels", tried=told[:5], hint="give --store the directory of one, or leave it out"
        )


def _stored(sha256: str, wheel: Path | None, unpacked: Path | None) -> Stored:
    touched = max(path.stat().st_mtime for path in (wheel, unpacked) if path)
    name = wheel.name if wheel else next((path.name for path in _info(unpacked)), sha256).removesuffix(".dist-info")
    compiled = sum(map(taken, bytecode_of(unpacked))) if unpacked else 0
    return Stored(name, sha256, wheel, unpacked, taken(wheel), taken(unpacked) + compiled, touched)


def _size(stored: Stored) -> int:
    return stored.wheel_bytes + stored.unpacked_bytes


def _info(unpacked: Path | None) -> list[Path]:
    return sorted(unpacked.glob("*.dist-info")) if unpacked else []


def _rests(store: Store) -> Iterator[Rest]:
    partials = [path for path in (store.root / "partial").glob("*") if _PARTIAL.fullmatch(path.name)]
    for path in sorted(partials):
        yield Rest("partial", path, taken(path), path.stat().st_mtime)
    unmade = (path for path in (store.root / "unpacked").glob("??/*.*") if not _is_bytecode(path))
    for path in sorted([*(store.root / "unpacking").glob("*"), *unmade]):
        yield Rest("leftover", path, taken(path), path.stat().st_mtime)


def _is_bytecode(path: Path) -> bool:
    """Of a wheel that is there, and whole."""
    sha256, _, tag = path.name.partition(".")
    return "." not in tag and path.with_name(sha256).is_dir()


def taken(path: Path | None, *, freed: bool = False) -> int:
    """Bytes of the disk that ``path`` takes; ``freed``: that would be free without it, which targets' links prevent."""
    if path is None:
        return 0
    files = [path] if path.is_file() else [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    told = (file.lstat() for file in files)
    return sum(each.st_blocks * 512 for each in told if not freed or each.st_nlink == 1)


def prune(store: Store, used: Collection[str], before: float, *, dry_run: bool = False) -> tuple[list[str], int]:
    """Remove wheels whose sha256 is not ``used``, partials and leftovers, as far as they came ``before`` that time.

    Returns what went and the bytes that this frees. Raises TargetBusy when a run is at work in the store.
    """
    with held(store.lock, f"the store {store.root}"), store.explained():
        all_of_it = read(store)
        going = [each for each in all_of_it.wheels if each.sha256 not in used and each.touched < before]
        rests = [rest for rest in all_of_it.rests if rest.touched < before]
        folders = [each.unpacked for each in going if each.unpacked]
        paths = [*folders, *(path for folder in folders for path in bytecode_of(folder))]
        paths += [*(each.wheel for each in going if each.wheel), *(rest.path for rest in rests)]
        size = sum(taken(path, freed=True) for path in paths)
        for path in paths if not dry_run else ():
            remove(store, path)
    return [*(each.name for each in going), *(f"{rest.kind} {rest.path.name}" for rest in rests)], size


def remove(store: Store, path: Path) -> None:
    """Take ``path`` out of the store; the caller holds its lock. Half an unpacked wheel never has a wheel's name."""
    if path.is_dir():
        store.bury(path)
    else:
        path.unlink(missing_ok=True)
    if _SHA256.fullmatch(path.parent.name) and not any(path.parent.iterdir()):
        path.parent.rmdir()
