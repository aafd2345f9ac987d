"""Writing files so that a reader sees the old content or the new one, never a part, whatever ends this process."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int | None = None, *, keep_owner: bool = False) -> None:
    """``path`` with content ``data``; hard links to the old file keep what they had.

    ``mode``: its permissions; None: those of the old file, else what the umask says. ``keep_owner``: when root replaces
    another user's file, it stays theirs. Raises OSError. The folder must be there.
    """
    replace_files({path: data}, mode, keep_owner=keep_owner)


def replace_files(contents: Mapping[Path, bytes], mode: int | None = None, *, keep_owner: bool = False) -> None:
    """As ``replace_file``; every file is on the disk before the first gets its name, and none is left half made."""
    fresh: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            fresh[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            _write(fresh[path], data, path, mode, keep_owner=keep_owner)
        for path, place in fresh.items():
            place.replace(path)
    except BaseException:
        for place in fresh.values():
            with contextlib.suppress(OSError):
                place.unlink()
        raise
    for folder in {path.parent for path in contents}:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _write(place: Path, data: bytes, path: Path, mode: int | None, *, keep_owner: bool) -> None:
    old = _status(path)
    if mode is None and old:
        mode = stat.S_IMODE(old.st_mode)
    narrow = 0o666 if mode is None else 0o600  # nobody else reads it before it has its owner and its mode
    with open(place, "xb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, narrow)) as file:
        file.write(data)
        file.flush()
        if keep_owner and old and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
