"""Around every change of a target: one run at a time, and errors of the file system that say what they mean for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.filelock import held
from paddle_bootstrap.install import target


@contextmanager
def explained(path: Path, state: str = "as it was") -> Iterator[None]:
    """Errors of the file system inside the block say what they mean for the target: it is ``state``."""
    try:
        yield
    except OSError as error:
        reason = f"{error.filename or path}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"no room left: {reason}", hint=f"free some space; the target is {state}") from error
        raise InstallFailed(
            f"the target {path} could not be changed: {reason}", hint=f"the target is {state}"
        ) from error


@contextmanager
def holding(path: Path, owner: tuple[int, int] | None) -> Iterator[None]:
    """One run at a time. The lock, and folders made on the way to the target, belong to the target's owner."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.parent / f".{path.name}.paddle-bootstrap.lock"
    if not os.access(path.parent, os.W_OK):
        lock = path / target.LOCK  # only changes in place come here
    with held(lock, f"the target {path}"):
        for item in (*made, lock):
            if owner:
                os.chown(item, *owner)
        yield
