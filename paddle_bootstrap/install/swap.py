"""The one step: the finished clone and the target exchange their names (``renameat2``, RENAME_EXCHANGE)."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed, TargetRefused
from paddle_bootstrap.replacing import sync_folder

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EBUSY, errno.ENOTSUP)
_OCTAL = re.compile(r"\\([0-7]{3})")


def exchange(clone: Path, target: Path) -> None:
    """Put ``clone`` in the place of ``target``; afterwards the old target, if there was one, stands at ``clone``.

    All of the clone is on the disk before it gets its name, so that a power failure leaves the old target or the new one.
    Raises TargetRefused where the file system or a mount point does not allow it.
    """
    _sync_file_system(clone)
    _rename(clone, target, _EXCHANGE if target.exists() else _NOREPLACE)
    sync_folder(target.parent)


def take_away(target: Path, place: Path) -> None:
    """Rename ``target`` to ``place``, a free name beside it: all of it is gone in one step."""
    _rename(target, place, _NOREPLACE)
    sync_folder(target.parent)


def require_swappable(target: Path, beside: Path) -> None:
    """Find out, before any work is done, whether ``target`` can be swapped with something at ``beside``.

    Raises TargetRefused for a mount point, for a target that holds one (the swap would carry the mounted files away with
    the old target), and where the file system cannot exchange two names or move this very directory.
    """
    if inside := mounts_in(target):
        what = "is a mount point" if inside[0] == target else f"holds a mount point, {inside[0]},"
        raise TargetRefused(
            f"the target {target} {what} and cannot be swapped in one step",
            hint="choose a directory without mount points, or accept changes in place: --in-place",
        )
    second = beside.with_name(beside.name[:-8] + "0" * 8)  # named as a leftover
    try:
        (beside / "full").mkdir(parents=True)
        second.mkdir(exist_ok=True)
        _rename(beside, second, _EXCHANGE)
        if target.exists():
            _require_movable(target, second)
    finally:
        for folder in (beside / "full", second / "full", beside, second):
            if folder.exists():
                folder.rmdir()


def require_swap_alone(target: Path, beside: Path, hint: str) -> None:
    """As ``require_swappable``, where nothing can be done in place; ``hint`` says what remains."""
    try:
        require_swappable(target, beside)
    except TargetRefused as error:
        raise TargetRefused(str(error), hint=hint) from error


def _require_movable(target: Path, full: Path) -> None:
    """Rename ``target`` onto a directory that is not empty: that always fails, and the reason tells whether it could move.

    Directories of a lower layer of an overlay file system (a container image) cannot.
    """
    try:
        target.rename(full)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise _unable(target, error.errno or 0) from error


def mounts_in(target: Path) -> list[Path]:
    """Where something is mounted, bind mounts included: at ``target`` or below it."""
    if not target.exists():
        return []
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return [target] if os.path.ismount(target) else []
    points = [Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4])) for line in table.splitlines()]
    return sorted(point for point in points if point.is_relative_to(target))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and its like stop nothing: from the exchange on the new target is there, and that is what is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sync_file_system(path: Path) -> None:
    """Flush what was written to the file system of ``path``; uv does not flush the thousands of files it makes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, flags: int) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc 2.28
    if call is None:
        raise _unable(target, errno.ENOSYS)
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) != 0:
        raise _unable(target, ctypes.get_errno())


def _unable(target: Path, number: int) -> InstallFailed:
    if number in _UNABLE:
        return TargetRefused(
            f"the target {target} cannot be swapped in one step: {os.strerror(number)}",
            hint="choose a target on a local file system that is not a mount point and not part of a container image, "
            "or accept changes in place: --in-place",
        )
    return InstallFailed(f"nothing can take the place of {target}: {os.strerror(number)}")
