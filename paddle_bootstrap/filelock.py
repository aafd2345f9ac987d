"""One run at a time on a target or a store: an advisory lock that names its holder.

``flock`` belongs to the open file, so it ends with the process however that dies: what a killed run left in the file is
only text, and never keeps the next one out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed, TargetBusy


@contextmanager
def held(path: Path, purpose: str) -> Iterator[None]:
    """Hold ``path`` (made if missing, kept afterwards) while the block runs, for ``purpose`` ("the store /x").

    Raises TargetBusy naming the holder at once when another process, or another block of this one, has it;
    InstallFailed when the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        hint = f"make {path.parent} writable for this user, or choose another place"
        raise InstallFailed(f"cannot lock {purpose}: {path}: {error.strerror}", hint=hint) from error
    try:
        _take(descriptor, path, purpose)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)  # before the lock goes: an empty file names nobody
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, purpose: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        raise TargetBusy(
            f"{purpose} is in use by {holder}",
            hint="wait until that run ends, or choose another place; nothing was changed",
            tried=(f"lock file: {path}",),
        ) from None
    except OSError as error:
        hint = "the file system does not offer locks; choose a local one"
        raise InstallFailed(f"cannot lock {purpose}: {path}: {error.strerror}", hint=hint) from error
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # who holds it is told to others: no disk is too full for a lock
        os.pwrite(descriptor, _card(), 0)


def _card() -> bytes:
    # Only the verb: an argument may hold a mirror's password.
    command = " ".join(["paddle-bootstrap", *[word for word in sys.argv[1:2] if word.isalpha()]])
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "command": command, "since": since}).encode()


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 4096, 0)
    try:
        card = json.loads(text)
        return f"process {card['pid']} ({card['command']}) since {card['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
