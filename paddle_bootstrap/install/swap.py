"""The one step: the finished clone and the target exchange their names (``renameat2``, RENAME_EXCHANGE)."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed, TargetRefused

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EBUSY, errno.ENOTSUP)


def exchange(clone: Path, target: Path) -> None:
    """Put ``clone`` in the place of ``target``; afterwards the old target, if there was one, stands at ``clone``.

    Raises TargetRefused where the file system or a mount point does not allow it.
    """
    _rename(clone, target, _EXCHANGE if target.exists() else _NOREPLACE)
    sync_folder(target.parent)


def try_exchange(beside: Path) -> None:
    """Find out with two empty directories beside the target whether it could be swapped, before any work is done."""
    first, second = beside.with_name(beside.name + ".a"), beside.with_name(beside.name + ".b")
    try:
        first.mkdir()
        second.mkdir()
        _rename(first, second, _EXCHANGE)
    except OSError as error:
        raise InstallFailed(f"cannot make {first}: {error.strerror}") from error
    finally:
        for folder in (first, second):
            if folder.exists():
                folder.rmdir()


def is_mount_point(path: Path) -> bool:
    """A directory of another file system than its parent, or a bind mount: it cannot be renamed."""
    if not path.exists():
        return False
    if os.path.ismount(path):
        return True
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return str(path) in {line.split()[4].replace("\\040", " ") for line in mounts.splitlines()}


def sync_folder(path: Path) -> None:
    """Make the names in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    call = library.renameat2
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
        return
    number = ctypes.get_errno()
    if number in _UNABLE:
        raise TargetRefused(
            f"the target {target} cannot be swapped in one step: {os.strerror(number)}",
            hint="choose a target that is not a mount point and not on NFS, or accept changes in place: --in-place",
        )
    raise InstallFailed(f"{source} cannot take the place of {target}: {os.strerror(number)}")
