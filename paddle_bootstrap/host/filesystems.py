"""Room on the file systems that a run uses. Paths are this process's own, so its own mounts name their kind."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paddle_bootstrap.host.facts import FileSystem, Unknown
from paddle_bootstrap.host.rootfs import inside

MOUNTS = Path("/proc/self/mounts")


def filesystem(role: str, path: Path, mounts: Path = MOUNTS) -> FileSystem:
    """The file system that holds ``path``, or will: that of its nearest parent when ``path`` does not exist yet."""
    nearest = os.path.realpath(path)
    while not os.path.lexists(nearest) and nearest != "/":
        nearest = os.path.dirname(nearest)  # noqa: PTH120 text, so that no part is looked up twice
    return _measured(role, path, Path(nearest), mounts)


def of_host(role: str, root: Path, path: str, mounts: Path = MOUNTS) -> FileSystem:
    """The file system that holds the host's ``path``. Without guesses: a missing /dev/shm has no room, whatever /dev has."""
    try:
        return _measured(role, root / path, inside(root, path), mounts)
    except OSError as error:
        return _unknown(role, root / path, error)


def _measured(role: str, path: Path, place: Path, mounts: Path) -> FileSystem:
    try:
        room, device = os.statvfs(place), place.stat().st_dev
    except OSError as error:
        return _unknown(role, path, error)
    size = room.f_frsize
    kind = _kind(os.path.realpath(place), mounts)
    return FileSystem(role, str(path), device, kind, room.f_bavail * size, room.f_blocks * size)


def _unknown(role: str, path: Path, error: OSError) -> FileSystem:
    reason = Unknown(f"{path}: {error.strerror}")
    return FileSystem(role, str(path), reason, reason, reason, reason)


def _kind(path: str, mounts: Path) -> str | Unknown:
    """The type of the mount that holds ``path``: the longest mount point, of equal ones the last, which hides the others."""
    try:
        lines = mounts.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        return Unknown(f"{mounts}: {error.strerror}")
    best, kind = "", ""
    for line in lines:
        _, point, name, *_ = [*line.split(" "), "", ""]
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        if name and (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, name
    return kind or Unknown(f"{mounts} has no mount that holds {path}")
