"""One wheel on its way into a folder: members are inflated as their bytes become available, the costliest first."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isal import igzip_lib, isal_zlib

from paddle_bootstrap.unpack.behind import Behind, start_writing
from paddle_bootstrap.unpack.members import Member, read, refused

CHUNK = 1 << 18  # bytes read at once, and of what comes of them: it stays in the processor's cache (measured)
STRIDE = 1 << 22  # bytes that make it worth to go on with a member that is not all there
BIG = 1 << 25  # bytes of a member that make a second thread for its writing worth it
STRETCH = 1 << 25  # bytes of it that the disk is given at once, long before the final flush
_LOCAL = struct.Struct("<4s5H3I2H")  # the local header of a member, up to its name

COMPILING = 100  # what compiling a byte of a module costs, as a multiple of unpacking it (measured)
_DAMAGED: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # its stub takes the class for an instance

Available = Callable[[int], int]  # offset -> the end of the bytes that are there from it on


class Stopped(Exception):
    """The run has ended before the bytes came."""


class Inflating:
    """One member on its way: where its next byte is, and what has come of those before."""

    def __init__(self, member: Member, size: int, cost: int) -> None:
        self.member = member
        self.cost = cost  # what comes of it, in bytes that are unpacked
        self.at = member.header
        self.end = min(member.end, size)  # exact once its local header was read
        self.out: int | None = None
        self._inflater: Any = None
        self.held = False  # the inflater has more to give of what it was given
        self._written = self._crc = self._begun = 0

    def is_worth_it(self, available: Available) -> bool:
        """All of it is there, or much."""
        return available(self.at) >= min(self.at + STRIDE, self.end)

    def begin(self, path: Path, descriptor: int, out: int) -> None:
        """Skip the local header, whose lengths may differ from the central directory's. Raises RefusedWheel."""
        head = os.pread(descriptor, _LOCAL.size, self.at)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
            raise refused(path, f"has no local header for {self.member.name!r}")
        *_, name, extra = _LOCAL.unpack(head)
        self.at += _LOCAL.size + int(name) + int(extra)
        self.end = self.at + self.member.compressed
        self.out = out
        if self.member.deflated:
            self._inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, 15)  # not before: it takes 80 kB

    def inflate(self, descriptor: int, until: int) -> bytes:
        """What comes of one chunk of what is there, at most a chunk."""
        data = b""
        if not self.held:
            data = os.pread(descriptor, min(until, self.end, self.at + CHUNK) - self.at, self.at)
            self.at += len(data)
        if not self._inflater:
            return data
        if self._inflater.eof:  # what follows is not of the member, whose size and CRC decide
            return b""
        out: bytes = self._inflater.decompress(data, CHUNK)
        self.held = not (self._inflater.needs_input or self._inflater.eof)
        return out

    def keep(self, data: bytes) -> None:
        """Write the next bytes of the member."""
        assert self.out is not None
        self._crc = isal_zlib.crc32(data, self._crc)
        self._written += _write(self.out, data)
        if self._written - self._begun >= STRETCH:
            start_writing(self.out, self._begun, self._written - self._begun)
            self._begun = self._written

    @property
    def is_right(self) -> bool:
        return self._written == self.member.size and self._crc == self.member.crc

    def close(self) -> None:
        if self.out is not None:
            os.close(self.out)
            self.out = self._inflater = None


class Unpacking:
    """One wheel. ``path`` may still be arriving: ``available`` says which bytes are there, ``news`` is told when more are.

    A member is worked on by one thread at a time, which leaves it when its bytes run out: nobody waits for one member while
    others could be unpacked.
    """

    def __init__(
        self,
        path: Path,
        place: Path,
        available: Available,
        news: threading.Condition,
        compilable: Callable[[], object] | None = None,
    ) -> None:
        """``compilable`` is called once all modules are there: then they come before others."""
        self.path = path
        self.place = place
        self.members = read(path)
        self._file = path.open("rb")  # kept open: the file gets another name when it is whole
        size = os.fstat(self._file.fileno()).st_size
        self.unfinished = len(self.members)
        self.stopped = False
        self._compilable = compilable
        modules = [member.size for member in self.members if _is_module(member)]
        self._modules = len(modules)
        self._worth = COMPILING * sum(modules) if compilable else 0
        waiting = [Inflating(member, size, self._cost(member)) for member in self.members]
        self._waiting = sorted(waiting, key=lambda inflating: inflating.cost)  # taken from its end
        self._available = available
        self._news = news
        self._root = os.fspath(place)
        self._folders: set[str] = set()
        place.mkdir(parents=True)

    def peek(self) -> Inflating | None:
        """The costliest member that can be worked on; ``news`` is held."""
        able = (waiting for waiting in reversed(self._waiting) if waiting.is_worth_it(self._available))
        return next(able, None)

    def taken(self, inflating: Inflating) -> None:
        """It is the caller's now; ``news`` is held."""
        last = len(self._waiting) - 1
        del self._waiting[
            next(at for at in range(last, -1, -1) if self._waiting[at] is inflating)
        ]  # it is near the end

    def work(self, inflating: Inflating) -> None:
        """Unpack as much of it as is there. Raises RefusedWheel, Stopped, OSError."""
        done = False
        try:
            self._unpack(self._file.fileno(), inflating)
            whole = inflating.at >= inflating.end
            if whole and not inflating.is_right:
                raise refused(self.path, f"holds {inflating.member.name!r} with other bytes than it states")
            done = whole
        finally:
            if done:
                inflating.close()
            with self._news:
                if done:
                    self.unfinished -= 1
                else:
                    self._waiting.append(inflating)
                    self._waiting.sort(key=lambda waiting: waiting.cost)
                self._news.notify_all()
            if done and _is_module(inflating.member):
                self._module_is_there()

    def _module_is_there(self) -> None:
        with self._news:
            self._modules -= 1
            last = self._modules == 0
        if last and self._compilable:
            self._compilable()

    def _cost(self, member: Member) -> int:
        """Modules count all together: only when the last one is there can they be compiled."""
        return self._worth if self._worth and _is_module(member) else member.size

    def close(self) -> None:
        """Nobody works on it any more."""
        for waiting in self._waiting:
            waiting.close()
        self._file.close()

    def _unpack(self, descriptor: int, inflating: Inflating) -> None:
        if inflating.out is None:
            inflating.begin(self.path, descriptor, self._create(inflating.member))
        if inflating.member.size < BIG:
            self._go_on(descriptor, inflating, inflating.keep)
            return
        with Behind(inflating.keep) as behind:
            self._go_on(descriptor, inflating, behind.put)

    def _go_on(self, descriptor: int, inflating: Inflating, keep: Callable[[bytes], None]) -> None:
        while (until := self._available(inflating.at)) > inflating.at < inflating.end or inflating.held:
            if self.stopped:
                raise Stopped
            try:
                data = inflating.inflate(descriptor, until)
            except _DAMAGED as error:
                raise refused(self.path, f"holds {inflating.member.name!r} in a form that is damaged") from error
            keep(data)

    def _create(self, member: Member) -> int:
        target = f"{self._root}/{member.name}"  # thousands of files: strings are quick
        folder = target.rpartition("/")[0]
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        mode = 0o755 if member.executable else 0o644
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        os.fchmod(out, mode)
        return out


def _is_module(member: Member) -> bool:
    return member.name.endswith(".py")


def _write(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)
