"""The SONAME of a shared library, from its dynamic section. 64-bit little-endian ELF, as x86-64 has."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_LOAD, _DYNAMIC = 1, 2
_STRTAB, _SONAME = 5, 14


def soname(path: Path) -> str | None:
    """What the library at ``path`` calls itself; None when it says nothing or is no such library."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _soname(data)
    except (OSError, ValueError, struct.error, UnicodeDecodeError):
        return None


def _soname(data: mmap.mmap) -> str | None:
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, table + index * size) for index in range(count)]
    dynamic = next((header for header in headers if header[0] == _DYNAMIC), None)
    if dynamic is None:
        return None
    entries = dict(reversed([struct.unpack_from("<QQ", data, dynamic[2] + at) for at in range(0, dynamic[5], 16)]))
    if _SONAME not in entries or _STRTAB not in entries:
        return None
    address = entries[_STRTAB] + entries[_SONAME]
    places = (h[2] + address - h[3] for h in headers if h[0] == _LOAD and h[3] <= address < h[3] + h[5])
    start = next(places, None)
    return None if start is None else data[start : data.find(b"\0", start)].decode()
