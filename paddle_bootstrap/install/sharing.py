"""Others who live with a target: processes that run from it, and the user whose it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.install import target
from paddle_bootstrap.install.target import TargetState

_PROC = Path("/proc")
_NAMED = 5  # processes


def tell(state: TargetState, python: str) -> None:
    """Warn of what a change will mean to them; ``python`` is the interpreter that the target has or will have."""
    if state.exists and (found := list(running(state.path))):
        names = ", ".join(f"{pid} ({name})" for pid, name in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        progress.warn(
            f"{state.path} is in use by process {names}{more}: what is loaded goes on working, "
            "what is imported later comes from the new state; restart it"
        )
    owner = target.foreign_owner(state.path)
    if owner and (folder := closed_to(owner[0], os.path.realpath(python))):
        progress.warn(
            f"{target.user(owner[0])}, whose target this is, may not enter {folder}, where its Python is; "
            "give one that all can reach: --python /usr/bin/python3"
        )


def running(env: Path) -> Iterator[tuple[int, str]]:
    """Processes that have a file of ``env`` loaded or were started as a program of it, as far as this user may see."""
    inside = f"{env}/".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            used = (entry / "cmdline").read_bytes().startswith(inside) or b" " + inside in (entry / "maps").read_bytes()
            if used:
                yield int(entry.name), (entry / "comm").read_text().strip()
        except OSError:  # it has ended, or is somebody else's
            continue


def closed_to(uid: int, path: str) -> Path | None:
    """The first folder on the way to ``path`` that ``uid`` may not enter, by owner and everybody's mode alone."""
    for folder in reversed(Path(path).parents):
        told = folder.stat()
        if not told.st_mode & (stat.S_IXUSR if told.st_uid == uid else stat.S_IXOTH):
            return folder
    return None
