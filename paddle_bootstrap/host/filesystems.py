"""Room on the file systems that a run uses. Paths are this process's own, so its own mounts name their kind."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paddle_bootstrap.host.facts import FileSystem, Unknown

MOUNTS = Path("/proc/self/mounts")


def filesystem(role: str, path: Path, *, must_exist: bool = False, mounts: Path = MOUNTS) -> FileSystem:
    """The file system that holds ``path``, or will: that of its nearest parent when ``path`` does not exist yet.

    With ``must_exist`` there is no such guess: a missing /dev/shm has no room, whatever /dev has.
    """
    nearest = os.path.realpath(path)
    try:
        while not must_exist and not os.path.lexists(nearest) and nearest != "/":
            nearest = os.path.dirname(nearest)  # noqa: PTH120 text, so that no part is looked up twice
        room, device = os.statvfs(nearest), os.stat(nearest).st_dev  # noqa: PTH116
    except OSError as error:
        reason = Unknown(f"{nearest}: {error.strerror}")
        return FileSystem(role, str(path), reason, reason, reason, reason)
    size = room.f_frsize
    return FileSystem(role, str(path), device, _kind(nearest, mounts), room.f_bavail * size, room.f_blocks * size)


def _kind(path: str, mounts: Path) -> str | Unknown:
    """The type of the mount that holds ``path``: the longest mount point, of equal ones the last, which hides the others."""
    try:
        lines = mounts.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        return Unknown(f"{mounts}: {error.strerror}")
    best, kind = "", ""
    for line in lines:
        _, point, name = line.split(" ")[:3]
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, name
    return kind or Unknown(f"{mounts} has no mount that holds {path}")
