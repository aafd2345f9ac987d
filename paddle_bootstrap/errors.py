"""Every way a run can end early: one class per cause, each with its exit code and the next command to try.

An error is raised where the cause is known and caught once, in ``cli``. ``tried`` lists everything that was attempted,
so that nobody has to run the command again to learn it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence


class BootstrapError(Exception):
    """Base of all expected failures; a bare one is our own bug."""

    exit_code = 70
    hint = ""

    def __init__(self, message: str, *, hint: str = "", tried: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.hint = hint or self.hint
        self.tried = tuple(tried)


class UsageError(BootstrapError):
    """A flag, a name or a settings file that cannot be meant as written."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file that cannot be read, or holds a key nobody knows."""


class CouldNotLook(BootstrapError):
    """What a question needs for an answer could not be read: that is no good news."""

    exit_code = 3


class NoBuildFits(BootstrapError):
    """No lock fits this host or this interpreter."""

    exit_code = 10


class FirstUse(NoBuildFits):
    """A digest that only the host of its file vouches for, where --require-shipped asks for more."""


class NoInterpreter(NoBuildFits):
    """No Python on this host is one that the lock serves."""


class DamagedLock(BootstrapError):
    """A lock that is not valid PEP 751, lacks hashes, or disagrees with its piece digests."""

    exit_code = 11
    hint = "Restore the lock from version control, or compose it again: paddle-bootstrap lock -o FILE"


class NoMirrorServes(BootstrapError):
    """Every mirror was asked and none delivered the file."""

    exit_code = 12


class MirrorNotUsed(NoMirrorServes):
    """pip or uv could not fetch through the setting that was written for it; the old setting is back."""


class WrongBytes(BootstrapError):
    """Every mirror that delivered the file delivered other bytes than the lock's."""

    exit_code = 13


class DamagedStore(BootstrapError):
    """Files of the store are no longer what was verified."""

    exit_code = 13


class InstallFailed(BootstrapError):
    """The target could not be made or changed; it is as it was."""

    exit_code = 14


class RefusedWheel(InstallFailed):
    """A wheel whose bytes are the lock's, and which holds what no wheel may."""


class TargetRefused(InstallFailed):
    """The target is a file, another tool's environment, a mount point, or has another Python."""


class TargetBusy(InstallFailed):
    """Another run holds the target or the store."""


class NoSpace(InstallFailed):
    """A file system lacks the room that the lock's sizes ask for."""


class FileRefused(UsageError):
    """The operating system refuses a path that no room has judged before."""


class NoRoom(InstallFailed):
    """A disk is full or cannot be written, where no room has said it better."""


_REFUSED = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}


def of_host(error: BaseException) -> BootstrapError | None:
    """What an error of the operating system about a path says of the host; None: it says something about us."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    said = f"{error.filename}: {error.strerror}"
    if error.errno in _REFUSED:
        return FileRefused(said, hint="check the path and its permissions, or name another one")
    if error.errno in _NO_ROOM:
        return NoRoom(said, hint="free some space, or name a place on another disk")
    return None
