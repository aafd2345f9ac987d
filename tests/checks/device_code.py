"""ELF files with a section of device code, as nvcc writes them: nothing in them runs."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PTX, SASS = 1, 2
EXTENDED = 0xFFFF  # "look into the first section header"


def image(kind: int, capability: int, payload: int = 40) -> bytes:
    """A header of 64 bytes, with the capability at 28, and a payload."""
    head = struct.pack("<HHIQ", kind, 0x101, 64, payload).ljust(28, b"\0") + struct.pack("<I", capability)
    return head.ljust(64, b"\0") + b"\xcd" * payload


def fat_binary(images: Sequence[bytes]) -> bytes:
    body = b"".join(images)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def library(section: bytes | None, *, extended: bool = False) -> bytes:
    """An ELF file with .text, and .nv_fatbin when ``section`` is given; ``extended``: as if it had 65280 sections or more."""
    names = {".text": b"\x90" * 16, **({} if section is None else {".nv_fatbin": section})}
    return elf(names, extended=extended)


def elf(sections: Mapping[str, bytes], *, extended: bool = False) -> bytes:
    strings, body, headers = b"\0", bytearray(64), [bytearray(64)]
    for name, content in {**sections, ".shstrtab": b""}.items():
        at, place = len(strings), len(body)
        strings += name.encode() + b"\0"
        content = strings if name == ".shstrtab" else content
        headers.append(bytearray(struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, place, len(content), 0, 0, 1, 0)))
        body += content
    number, last = len(headers), len(headers) - 1
    if extended:
        struct.pack_into("<Q", headers[0], 32, number)
        struct.pack_into("<I", headers[0], 40, last)
        number, last = 0, EXTENDED
    body[:16] = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    struct.pack_into("<HHIQQQIHHHHHH", body, 16, 3, 62, 1, 0, 0, len(body), 0, 64, 0, 0, 64, number, last)
    return bytes(body) + b"".join(headers)


def kernels(sass: Sequence[int], ptx: Sequence[int] = (), *, each: int = 10, stray: Sequence[int] = ()) -> bytes:
    """A Paddle library: ``each`` images for every capability, and one stray image for some."""
    binaries = [fat_binary([*(image(SASS, one) for one in sass), *(image(PTX, one) for one in ptx)])] * each
    return library(b"\0" * 8 + b"".join([*binaries, *(fat_binary([image(SASS, one)]) for one in stray)]))
