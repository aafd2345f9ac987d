"""Which lock is meant."""

from __future__ import annotations

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Device, Lock


def choose(wanted: str | None, version: str | None, device: Device | None) -> Lock:
    """The lock called ``wanted`` (a file, or a shipped lock's name), else the shipped one of ``version`` and ``device``.

    Raises UsageError when a named lock holds another version or is for another device than the one asked for, and
    whatever reading it raises.
    """
    if wanted is None:
        return pylock.read(pylock.for_version(version, device or "gpu"))
    lock = pylock.read(pylock.find(wanted))
    if lock.build and device not in (None, lock.build.device):
        raise UsageError(f"--lock {wanted} holds a {lock.build.device} build, but --device {device} was asked for")
    if lock.build and version not in (None, lock.build.version):
        raise UsageError(f"--lock {wanted} holds Paddle {lock.build.version}, but --paddle {version} was asked for")
    return lock
