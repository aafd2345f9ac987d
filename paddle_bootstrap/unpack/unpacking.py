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
    """``path`` may still be arriving: ``available`` says which bytes are there, ``news`` is told when more are."""

    def __init__(self, path: Path, place: Path, available: Available, news: threading.Condition) -> None:
        self.path = path
        self.place = place
        self.members = read(path)
        self._left = sorted(self.members, key=lambda member: member.size)  # taken from its end
        self._available = available
        self._news = news
        self._folders: set[Path] = set()
        self.stopped = False

    def work(self) -> None:
        """Unpack members until none is left; several threads may do so at once. Raises WrongBytes, Stopped, OSError."""
        with self.path.open("rb") as file:
            while (member := self._next()) is not None:
                self._unpack(file.fileno(), member)

    def _next(self) -> Member | None:
        """The costliest member whose bytes have begun to come; else, after a wait, the costliest of all."""
        with self._news:
            if self.stopped:
                raise Stopped
            for index in range(len(self._left) - 1, -1, -1):
                if self._available(self._left[index].header) > self._left[index].header:
                    return self._left.pop(index)
            return self._left.pop() if self._left else None

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


def unpack(path: Path, place: Path, *, threads: int) -> None:
    """Unpack the whole wheel at ``path`` into ``place``, which is made. Raises WrongBytes, OSError."""
    size = path.stat().st_size
    unpacking = Unpacking(path, place, lambda _: size, threading.Condition())
    place.mkdir(parents=True)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            unpacking.work()
        except BaseException as error:  # noqa: BLE001 raised again below
            unpacking.stopped = True
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads - 1)]
    for worker in workers:
        worker.start()
    work()
    for worker in workers:
        worker.join()
    if failures:
        raise next((error for error in failures if not isinstance(error, Stopped)), failures[0])
