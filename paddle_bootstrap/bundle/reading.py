"""A bundle's format, and what reads it. It stands in the head of every bundle, so: Python 3.8, nothing else.

    64 KiB   a shell script that finds python3 and runs start.py, which stands in it with reading.py and judging.py; padded
    tar      manifest.json; its sha256; its signature, if there is one; then the members in the manifest's order

The manifest holds the sha256 of the head and of every member, so a signature of the manifest covers all. Everything between
the members is compared with what the writer would have written: no byte of a bundle is free.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator  # noqa: UP035 for Python 3.8

FORMAT = 1
HEAD = 64 * 1024  # bytes
FIRST_LINES = b"#!/bin/sh\n# paddle-bootstrap bundle\n"
MANIFEST = "manifest.json"
SSH, MINISIGN = MANIFEST + ".sig", MANIFEST + ".minisig"
SUM = MANIFEST + ".sha256"  # tells accidents; who is to be kept out needs a signature
NAMESPACE = "paddle-bootstrap"  # of signatures: one made for something else does not count
CHUNK = 1024 * 1024  # bytes
_LARGEST_TEXT = 16 * CHUNK  # of a manifest or a signature
_BLOCK, _NAME = 512, 100  # bytes, of tar
END = bytes(2 * _BLOCK)
_SAFE = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9._+!/=@,~ -]+")
_HEX = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"(.+)\.(\d{3})")

Member = Dict[str, Any]  # noqa: UP006 evaluated, on Python 3.8  # name, size, sha256


class Refused(Exception):
    """Why a bundle is not used: exit code, what is wrong, what to do."""

    def __init__(self, code: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


WRONG_BYTES, WRONG_PLATFORM, USAGE, DISK = 13, 10, 2, 14
COPY_AGAIN = "copy the bundle again from where it was made; sha256sum of both tells whether it arrived"


def tar_header(name: str, size: int) -> bytes:
    """The block(s) before a member, as GNU tar writes them. Not by ``tarfile``, whose bytes differ between Pythons."""
    encoded = name.encode()
    if len(encoded) <= _NAME:
        return _tar_block(encoded, size, b"0")
    long = encoded + b"\0"
    return _tar_block(b"././@LongLink", len(long), b"L") + long + padding(len(long)) + _tar_block(encoded, size, b"0")


def _tar_block(name: bytes, size: int, kind: bytes) -> bytes:
    octal = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    start = name[:_NAME].ljust(_NAME, b"\0") + b"0000644\0" + 2 * b"0000000\0" + octal + 11 * b"0" + b"\0"
    end = (kind + bytes(100) + b"ustar  \0").ljust(_BLOCK - len(start) - 8, b"\0")
    return start + b"%06o\0 " % sum(start + 8 * b" " + end) + end


def padding(size: int) -> bytes:
    """What fills a member's last block."""
    return bytes(-size % _BLOCK)


def may_name(name: str) -> bool:
    """A bundle's member may have this name: it is plain, and stays where it is unpacked."""
    return _SAFE.fullmatch(name) is not None


def sum_of(manifest: bytes) -> bytes:
    """Its digest, as sha256sum writes and checks it."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def parts_of(path: Path) -> list[Path]:
    """The files that ``path`` means: itself, or all of FILE.001, FILE.002, ... when it is FILE or one of them."""
    found = _PART.fullmatch(path.name)
    if path.is_file() and not found:
        return [path]
    stem = found.group(1) if found else path.name
    if not path.parent.is_dir():
        raise Refused(USAGE, f"no such bundle: {path}", "give the file that `bundle create` made")
    numbered = {}
    for other in path.parent.iterdir():
        match = _PART.fullmatch(other.name)
        if match and match.group(1) == stem:
            numbered[int(match.group(2))] = other
    if not numbered:
        raise Refused(USAGE, f"no such bundle: {path}", "give the file that `bundle create` made, or its part .001")
    for number in range(1, max(numbered) + 1):
        if number not in numbered:
            raise Refused(
                WRONG_BYTES, f"{path.with_name(stem)}.{number:03} is missing", "put all parts into one folder"
            )
    return [numbered[number] for number in sorted(numbered)]


class _Stream:
    """The parts, read as one file."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._files: list[BinaryIO] = [path.open("rb") for path in paths]
        self._current = 0
        self.offset = 0

    def close(self) -> None:
        for file in self._files:
            file.close()

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes. Raises Refused where they end early."""
        got = b""
        while len(got) < size:
            some = self._files[self._current].read(size - len(got))
            got += some
            if not some and not self._next():
                raise self._cut()
        self.offset += size
        return got

    def skip(self, size: int) -> None:
        left = size
        while left:
            file = self._files[self._current]
            here = min(left, os.fstat(file.fileno()).st_size - file.tell())
            file.seek(here, os.SEEK_CUR)
            left -= here
            if left and not self._next():
                raise self._cut()
        self.offset += size

    def at_end(self) -> bool:
        while not self._files[self._current].read(1):
            if not self._next():
                return True
        return False

    def _next(self) -> bool:
        self._current = min(self._current + 1, len(self._files))
        if self._current < len(self._files):
            return True
        self._current -= 1
        return False

    def _cut(self) -> Refused:
        last = self._paths[-1]
        match = _PART.fullmatch(last.name)
        more = f"; is {match.group(1)}.{int(match.group(2)) + 1:03} missing?" if match else ""
        held = sum(path.stat().st_size for path in self._paths)
        return Refused(WRONG_BYTES, f"{last} is cut: the bundle ends after {held} bytes{more}", COPY_AGAIN)


class Bundle:
    """A bundle whose head and manifest have been read and agree; ``members`` reads the rest, once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = _Stream(parts_of(path))
        try:
            self.signature: tuple[str, bytes] | None = None
            self._pending = b""
            self.text = self._read_texts()
            self.manifest = parsed(self.text, str(path))
            self._require_head()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_texts(self) -> bytes:
        first = self._stream.read(len(FIRST_LINES))
        if first != FIRST_LINES:
            raise Refused(USAGE, f"{self.path} is not a bundle of paddle-bootstrap", "give the file of `bundle create`")
        self.head = first + self._stream.read(HEAD - len(first))
        text = self._text({MANIFEST})
        assert text is not None
        digest = sum_of(text[1])
        self._expect(tar_header(SUM, len(digest)) + digest + padding(len(digest)))
        signature = self._text({SSH, MINISIGN})
        if signature is not None:
            self.signature = signature
        return text[1]

    def _text(self, names: set[str]) -> tuple[str, bytes] | None:
        header = self._stream.read(_BLOCK)
        name, digits = header[:_NAME].rstrip(b"\0").decode("utf-8", "replace"), header[124:135]
        if name not in names:
            if MANIFEST in names:
                raise self._wrong(f"it begins with {name!r}, not with {MANIFEST}")
            self._pending = header
            return None
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else _LARGEST_TEXT + 1
        if size > _LARGEST_TEXT or header != tar_header(name, size):
            raise self._wrong(f"the header of {name} was changed")
        content = self._stream.read(size)
        self._expect(padding(size))
        return name, content

    def _require_head(self) -> None:
        if hashlib.sha256(self.head).hexdigest() != self.manifest["head"]:
            raise self._wrong("its start script is not the one that the manifest names")

    def _wrong(self, why: str) -> Refused:
        return Refused(WRONG_BYTES, f"{self.path} was changed: {why}", COPY_AGAIN)

    def _expect(self, wanted: bytes) -> None:
        got = self._pending + self._stream.read(len(wanted) - len(self._pending))
        self._pending = b""
        if got != wanted:
            raise self._wrong(f"other bytes than written, before byte {self._stream.offset}")

    def members(self) -> Iterator[Member]:
        """Each member in order; the caller saves, checks or skips it before it asks for the next one."""
        for member in self.manifest["members"]:
            self._expect(tar_header(member["name"], member["size"]))
            yield member
            self._expect(padding(member["size"]))
        self._expect(END)
        if not self._stream.at_end():
            raise self._wrong("there are bytes after its end")

    def skip(self, member: Member) -> None:
        self._stream.skip(member["size"])

    def check(self, member: Member) -> None:
        """Read the member and compare its digest."""
        self._copy(member, None)

    def save(self, member: Member, path: Path) -> None:
        """The member at ``path``, which gets its name when the digest holds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        try:
            with partial.open("wb") as file:
                self._copy(member, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            if partial.exists():
                partial.unlink()

    def _copy(self, member: Member, file: BinaryIO | None) -> None:
        digest, left = hashlib.sha256(), member["size"]
        while left:
            some = self._stream.read(min(left, CHUNK))
            digest.update(some)
            left -= len(some)
            if file:
                file.write(some)
        if digest.hexdigest() != member["sha256"]:
            raise self._wrong(f"{member['name']} has another sha256 than the manifest")


def parsed(text: bytes, where: str) -> dict[str, Any]:
    """The manifest, judged. Raises Refused."""
    try:
        data = json.loads(text.decode("utf-8"))
        if data["format"] != FORMAT:
            message = f"{where} has format {data['format']!r}, this version reads {FORMAT}"
            raise Refused(USAGE, message, "take the paddle-bootstrap that made it, or make it anew")
        for member in data["members"]:
            named = isinstance(member["name"], str) and may_name(member["name"])
            if (
                not named
                or type(member["size"]) is not int
                or member["size"] < 0
                or not _HEX.fullmatch(member["sha256"])
            ):
                raise ValueError(f"member {member!r}")
        names = [member["name"] for member in data["members"]]
        texts = [data["lock"], data["machine"], data["python"], data["glibc"], data["head"], data["version"]]
        if not all(isinstance(text, str) for text in texts + data["tool_pythons"] + data["checks"]):
            raise ValueError("something that is not a string")
        if len(set(names)) != len(names) or data["lock"] not in names or data["interpreter"] not in [None, *names]:
            raise ValueError("its names contradict each other")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Refused(WRONG_BYTES, f"{where}: its manifest cannot be read: {error}", COPY_AGAIN) from None
    result: dict[str, Any] = data
    return result


def matches(path: Path, member: Member) -> bool:
    """Whether ``path`` holds exactly the member's bytes."""
    if not path.is_file() or path.stat().st_size != member["size"]:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for some in iter(lambda: file.read(CHUNK), b""):
            digest.update(some)
    return bool(digest.hexdigest() == member["sha256"])
