"""What libc.so.6 and libstdc++.so.6 state of themselves, found as the loader would find them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.libraries import glibc, glibcxx

Put = Callable[[str, "str | bytes"], Path]
ELF64, ELF32 = b"\x7fELF\x02", b"\x7fELF\x01"
LIBC = b"GNU C Library (Ubuntu GLIBC 2.35-0ubuntu3.4) stable release version 2.35.\n"


def test_of_this_very_host() -> None:
    assert glibc(Path("/")) == os.confstr("CS_GNU_LIBC_VERSION").split()[1]  # type: ignore[union-attr]
    assert str(glibcxx(Path("/"))).startswith("3.4.")


@pytest.mark.parametrize("folder", ["lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"])
def test_glibc(put: Put, folder: str) -> None:
    assert glibc(put(f"{folder}/libc.so.6", ELF64 + LIBC)) == "2.35"


def test_glibcxx_is_the_highest_by_number(put: Put) -> None:
    names = b"GLIBCXX_3.4\0GLIBCXX_3.4.9\0GLIBCXX_3.4.30\0GLIBCXX_3.4.4\0GLIBCXX_TUNABLES\0"
    assert glibcxx(put("usr/lib64/libstdc++.so.6", ELF64 + names)) == "3.4.30"


def test_a_32_bit_library_is_passed_over(put: Put, tmp_path: Path) -> None:
    put("lib/libc.so.6", ELF32 + LIBC)
    assert glibc(tmp_path) == Unknown(
        "no 64-bit libc.so.6; looked for "
        + ", ".join(
            f"{tmp_path}/{folder}/libc.so.6"
            for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib")
        )
    )
    put("usr/lib/libc.so.6", ELF64 + LIBC)
    assert glibc(tmp_path) == "2.35"


def test_missing(tmp_path: Path) -> None:
    found = glibcxx(tmp_path)
    assert isinstance(found, Unknown)
    assert found.reason.startswith("no 64-bit libstdc++.so.6; looked for ")


def test_garbage(put: Put, tmp_path: Path) -> None:
    put("lib64/libc.so.6", ELF64 + b"musl")
    assert glibc(tmp_path) == Unknown(f"{tmp_path}/lib64/libc.so.6 does not state its version")


def cache(*entries: tuple[int, str, str]) -> bytes:
    """An ld.so.cache as glibc's ldconfig writes it: flags, SONAME, path."""
    table, strings = b"", b""
    start = 48 + 24 * len(entries)
    for flags, name, path in entries:
        table += struct.pack("<iIIIQ", flags, start + len(strings), start + len(strings) + len(name) + 1, 0, 0)
        strings += name.encode() + b"\0" + path.encode() + b"\0"
    return b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(strings)).ljust(28, b"\0") + table + strings


def test_the_loaders_cache_comes_first(put: Put, tmp_path: Path) -> None:
    put("usr/lib64/libstdc++.so.6", ELF64 + b"GLIBCXX_3.4.19\0")
    put("opt/gcc/lib64/libstdc++.so.6", ELF64 + b"GLIBCXX_3.4.32\0")
    put("opt/gcc/lib/libstdc++.so.6", ELF32 + b"GLIBCXX_3.4.99\0")
    entries = (
        (0x0003, "libstdc++.so.6", "/opt/gcc/lib/libstdc++.so.6"),
        (0x0303, "libother.so.6", "/usr/lib64/libother.so.6"),
        (0x0303, "libstdc++.so.6", "/opt/gcc/lib64/libstdc++.so.6"),
    )
    put("etc/ld.so.cache", cache(*entries))
    assert glibcxx(tmp_path) == "3.4.32"
    put("etc/ld.so.cache", b"ld.so-1.7.0\0\0\0\0\0" + cache(*entries))  # the older format in front of the newer one
    assert glibcxx(tmp_path) == "3.4.32"


@pytest.mark.parametrize("damage", [b"", b"glibc-ld.so.cache1.1", b"glibc-ld.so.cache1.1" + b"\xff" * 99, b"junk" * 99])
def test_a_damaged_cache_is_passed_over(put: Put, tmp_path: Path, damage: bytes) -> None:
    put("etc/ld.so.cache", damage)
    put("usr/lib64/libstdc++.so.6", ELF64 + b"GLIBCXX_3.4.19\0")
    assert glibcxx(tmp_path) == "3.4.19"
