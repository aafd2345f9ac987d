"""The C and C++ runtime libraries below a root, by the versions they state themselves."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.rootfs import data

_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_ENTRY = struct.Struct("<iIIIQ")
_CACHE_X86_64 = 0x0303  # FLAG_X8664_LIB64 | FLAG_ELF_LIBC6
_ELF64 = b"\x7fELF\x02"  # a 32-bit library of the same name is not what a 64-bit Python loads


def glibc(root: Path) -> str | Unknown:
    """The C library's version: this process's own when ``root`` is "/", else what libc.so.6 below it states."""
    if root != Path("/"):
        return _stated(root, "libc.so.6", rb"GNU C Library [^\n]{0,200}? version (\d+\.\d+)")
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError) as error:
        return Unknown(f"the C library of this process is not glibc: {error}")
    return version if name == "glibc" else Unknown(f"the C library of this process calls itself {name!r}, not glibc")


def glibcxx(root: Path) -> str | Unknown:
    """The highest GLIBCXX symbol version that libstdc++.so.6 defines: "3.4.30"."""
    return _stated(root, "libstdc++.so.6", rb"GLIBCXX_(\d+\.\d+\.\d+)\0")


def _stated(root: Path, name: str, pattern: bytes) -> str | Unknown:
    looked: list[str] = []
    for path in dict.fromkeys((*_cached(root, name), *(f"{folder}/{name}" for folder in _FOLDERS))):
        content = data(root, path)
        if isinstance(content, Unknown) or not content.startswith(_ELF64):
            looked.append(str(root / path))
            continue
        found: list[str] = [item.decode() for item in re.findall(pattern, content)]
        if found:
            return max(found, key=lambda item: [int(part) for part in item.split(".")])
        return Unknown(f"{root / path} does not state its version")
    return Unknown(f"no 64-bit {name}; looked for {', '.join(looked)}")


def _cached(root: Path, name: str) -> Iterator[str]:
    """Where the loader's cache has it, in the loader's order: an administrator's own folders may come before the usual ones.

    The format is glibc's sysdeps/generic/dl-cache.h: a header of 48 bytes, then entries of flags and two offsets into it.
    """
    cache = data(root, "etc/ld.so.cache")
    start = cache.find(_CACHE_MAGIC) if isinstance(cache, bytes) else -1
    if isinstance(cache, Unknown) or start < 0 or len(cache) < start + 48:
        return
    (count,) = struct.unpack_from("<I", cache, start + len(_CACHE_MAGIC))
    entries = cache[start + 48 : start + 48 + count * _CACHE_ENTRY.size]
    for flags, key, value, _, _ in _CACHE_ENTRY.iter_unpack(
        entries[: len(entries) // _CACHE_ENTRY.size * _CACHE_ENTRY.size]
    ):
        if flags == _CACHE_X86_64 and cache.startswith(name.encode() + b"\0", start + key):
            yield cache[start + value : cache.find(b"\0", start + value)].decode("utf-8", "surrogateescape").lstrip("/")
