"""Room for the store, the unpacked copy and the target, added up per file system and asked before anything is downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import NoSpace
from paddle_bootstrap.install.target import foreign_owner
from paddle_bootstrap.lock.model import Selection, Wheel
from paddle_bootstrap.progress import human_bytes

RESERVE = 64 * 1024 * 1024  # bytes left for logs and metadata
_EXPANSION = 3  # unpacked size of wheels, as a multiple of their own; 2.3 was measured for the 2.6.2 GPU set


@dataclass(frozen=True)
class Need:
    """Bytes that ``purpose`` will take at ``path``."""

    purpose: str
    path: Path
    bytes: int


def needs(
    selection: Selection, missing: Sequence[Wheel], packed: Sequence[Wheel], *, store: Path, target: Path
) -> tuple[Need, ...]:
    """What an installation takes when ``missing`` wheels are not in the store, and ``packed`` not unpacked.

    Where store and target share a file system and an owner, the target's files are links to the unpacked copy.
    """
    total, build = sum(wheel.size or 0 for wheel in selection.wheels), selection.lock.build
    unpacked = build.unpacked_bytes if build else _EXPANSION * total
    copied = unpacked * sum(wheel.size or 0 for wheel in packed) // total if total else 0
    wanted = [
        Need("wheels to download", store, sum(wheel.size or 0 for wheel in missing)),
        Need("their unpacked copy", store, copied),
    ]
    if apart(store, target) or foreign_owner(target):
        wanted.append(Need("the target", target, unpacked))
    return tuple(wanted)


def apart(store: Path, target: Path) -> bool:
    """They are on different file systems, so files are copied instead of linked."""
    return _device(store) != _device(target)


def describe(wanted: Sequence[Need]) -> list[str]:
    """One line per file system: what it must hold and what it has free."""
    return [
        f"{human_bytes(sum(need.bytes for need in group))} at {group[0].path} "
        f"({', '.join(f'{need.purpose} {human_bytes(need.bytes)}' for need in group)}), {human_bytes(_free(group[0].path))} free"
        for group in _by_device(wanted)
    ]


def require(wanted: Sequence[Need], last: Path | None = None) -> None:
    """Raises NoSpace that tells every file system's need, and what the kept state ``last`` takes for itself."""
    short = [
        group for group in _by_device(wanted) if sum(need.bytes for need in group) + RESERVE > _free(group[0].path)
    ]
    if short and any(need.bytes for group in short for need in group):
        raise NoSpace(
            f"not enough disk space at {', '.join(str(group[0].path) for group in short)}",
            tried=[*describe(wanted), *_of_kept(last)],
            hint="free some space, or put the store elsewhere with --store and the target with --env; nothing was changed",
        )


def _of_kept(last: Path | None) -> list[str]:
    """What would be free without it: files that nothing else is linked to."""
    told = [path.lstat() for path in last.rglob("*") if path.is_file()] if last else []
    own = sum(each.st_blocks * 512 for each in told if each.st_nlink == 1)
    return [f"the target's kept state takes {human_bytes(own)}; it may be removed: rm -r {last}"] if last else []


def _by_device(wanted: Sequence[Need]) -> list[list[Need]]:
    groups: dict[int, list[Need]] = {}
    for need in wanted:
        groups.setdefault(_device(need.path), []).append(need)
    return list(groups.values())


def _existing(path: Path) -> Path:
    while not os.path.exists(path):  # noqa: PTH110 also False where it may not be looked at
        path = path.parent
    return path


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev


def _free(path: Path) -> int:
    told = os.statvfs(_existing(path))
    return told.f_bavail * told.f_frsize
