"""What a wheel says of itself, read from a few ranges of it: the end of the zip file, its directory, one member.

The Paddle index publishes no metadata beside its wheels, and each of these has two or three gigabytes.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import HeaderParser

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

Read = Callable[[int, int], bytes]  # start, end -> the file's bytes there
MAGIC = b"PK\x03\x04"
_METADATA = ".dist-info/METADATA"
_LONGEST = 4 << 20  # bytes of METADATA
_TAIL = 256 * 1024  # bytes: the end of the file that is read at once; most directories fit


class NotThisWheel(Exception):
    """The file is no wheel, or another one than its name says; the text says which."""


@dataclass(frozen=True)
class Head:
    """A wheel without its contents."""

    metadata: str
    directory: str  # sha256 over name, size and CRC-32 of every member: equal for equal files, on any host


def head(filename: str, size: int, read: Read) -> Head:
    """The head of the wheel called ``filename``. Raises NotThisWheel, and whatever ``read`` raises."""
    if size < len(MAGIC) or read(0, len(MAGIC)) != MAGIC:
        raise NotThisWheel(f"it is no wheel: {size} bytes that do not begin as a zip file")
    try:
        with zipfile.ZipFile(_Ranged(size, read)) as archive:
            members = archive.infolist()
            metadata = archive.read(_info_member(members)).decode("utf-8")
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError) as error:
        raise NotThisWheel(f"it is no wheel: {error}") from error
    _require_own(filename, metadata)
    told = "".join(f"{item.filename}\0{item.file_size}\0{item.CRC}\n" for item in members)
    digest = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    return Head(metadata, digest)


def _info_member(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    found = [item for item in members if item.filename.count("/") == 1 and item.filename.endswith(_METADATA)]
    if len(found) != 1:
        raise NotThisWheel(f"it holds {len(found)} METADATA files")
    if found[0].file_size > _LONGEST:
        raise NotThisWheel(f"its METADATA has {found[0].file_size} bytes")
    return found[0]


def _require_own(filename: str, metadata: str) -> None:
    """Raises NotThisWheel unless name and version are what the file's name says, and every Requires-Dist can be read."""
    told = HeaderParser().parsestr(metadata)
    name, version = told.get("Name", ""), told.get("Version", "")
    wanted = parse_wheel_filename(filename)
    try:
        right = (canonicalize_name(name), Version(version)) == wanted[:2]
    except InvalidVersion:
        right = False
    if not right:
        raise NotThisWheel(f"its METADATA says {name or 'no name'} {version or 'without version'}")
    try:
        for requirement in told.get_all("Requires-Dist", []):
            Requirement(requirement)
    except InvalidRequirement as error:
        raise NotThisWheel(f"its METADATA cannot be read: {error}") from error


class _Ranged(io.RawIOBase):
    """A file of ``size`` bytes behind ``read``; what was read of its end is kept."""

    def __init__(self, size: int, read: Read) -> None:
        self._size = size
        self._read = read
        self._at = 0
        self._tail_at = max(0, size - _TAIL)
        self._tail = b""

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise ValueError("its directory points before its beginning")
        return self._at

    def read(self, count: int | None = -1) -> bytes:
        end = self._size if count is None or count < 0 else min(self._size, self._at + count)
        if end <= self._at:
            return b""
        if self._at >= self._tail_at:
            self._tail = self._tail or self._read(self._tail_at, self._size)
            data = self._tail[self._at - self._tail_at : end - self._tail_at]
        else:
            data = self._read(self._at, end)
        self._at = end
        return data
