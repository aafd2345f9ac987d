"""One wheel on its way into a folder: members are inflated as their bytes become available, the costliest first."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from isal import isal_zlib

from paddle_bootstrap.unpack.members import Member, read, refused

CHUNK = 1 << 16  # bytes read at once: what comes of them stays in the processor's cache (measured)
_LOCAL = struct.Struct("<4s5H3I2H")  # the local header of a member, up to its name
PATROL = 0.2  # seconds between looks at whether the run has ended

Available = Callable[[int], int]  # offset -> the end of the bytes that are there from it on


class Stopped(Exception):
    """The run has ended before the bytes came."""


class Unpacking:
    """One wheel. ``path`` may still be arriving: ``available`` says which bytes are there, ``news`` is told when more are."""

    def __init__(self, path: Path, place: Path, available: Available, news: threading.Condition) -> None:
        self.path = path
        self.place = place
        self.members = read(path)
        self._file = path.open("rb")  # kept open: the file gets another name when it is whole
        self.unfinished = len(self.members)
        self.stopped = False
        self._waiting = sorted(self.members, key=lambda member: member.size)  # taken from its end
        self._available = available
        self._news = news
        self._folders: set[Path] = set()
        place.mkdir(parents=True)

    @property
    def waiting(self) -> bool:
        """Some members are nobody's yet."""
        return bool(self._waiting)

    def peek(self) -> Member | None:
        """The costliest member whose bytes have begun to come; ``news`` is held."""
        come = (member for member in reversed(self._waiting) if self._available(member.header) > member.header)
        return next(come, None)

    def taken(self, member: Member) -> None:
        """``member`` is the caller's now; ``news`` is held."""
        self._waiting.remove(member)

    def work(self, member: Member) -> None:
        """Unpack ``member``, waiting for its bytes. Raises RefusedWheel, Stopped, OSError."""
        self._unpack(self._file.fileno(), member)
        with self._news:
            self.unfinished -= 1
            self._news.notify_all()

    def close(self) -> None:
        """Nobody works on it any more."""
        self._file.close()

    def _unpack(self, descriptor: int, member: Member) -> None:
        target = self.place / member.name
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(target.parent)
        mode = 0o755 if member.executable else 0o644
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(out, mode)
            self._inflate(descriptor, member, out)
        finally:
            os.close(out)

    def _inflate(self, descriptor: int, member: Member, out: int) -> None:
        at = self._data_start(descriptor, member)
        end, written, crc = at + member.compressed, 0, 0
        inflater = isal_zlib.decompressobj(wbits=-15) if member.deflated else None
        while at < end:
            ready = min(self._wait(at), at + CHUNK, end)
            data = os.pread(descriptor, ready - at, at)
            at += len(data)
            data = inflater.decompress(data) if inflater else data
            crc = isal_zlib.crc32(data, crc)
            written += _write(out, data)
        if written != member.size or crc != member.crc:
            raise refused(self.path, f"holds {member.name!r} with other bytes than it states")

    def _data_start(self, descriptor: int, member: Member) -> int:
        """Behind the local header, whose lengths may differ from the central directory's."""
        while self._wait(member.header) < member.header + _LOCAL.size:
            self._pause()
        head = os.pread(descriptor, _LOCAL.size, member.header)
        sign, *_, name, extra = _LOCAL.unpack(head)
        if sign != b"PK\x03\x04":
            raise refused(self.path, f"has no local header for {member.name!r}")
        return member.header + _LOCAL.size + int(name) + int(extra)

    def _wait(self, offset: int) -> int:
        """The end of what is there from ``offset`` on, once there is something."""
        while (end := self._available(offset)) <= offset:
            self._pause()
        return end

    def _pause(self) -> None:
        with self._news:
            if self.stopped:
                raise Stopped
            self._news.wait(PATROL)


def _write(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)
