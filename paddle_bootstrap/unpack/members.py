"""What a wheel holds, by its central directory; a wheel that would write elsewhere than it may is refused."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import RefusedWheel

_KINDS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1
_LEADS_ELSEWHERE = frozenset({"", ".", ".."})  # as a part of a name; the first one of an absolute name is empty


@dataclass(frozen=True)
class Member:
    """One file of a wheel. Offsets and sizes are bytes."""

    name: str
    header: int  # offset of its local header
    compressed: int
    size: int
    deflated: bool
    crc: int
    executable: bool

    @property
    def end(self) -> int:
        """No byte of it lies behind this, unless its local header is longer than any that exists in practice."""
        return self.header + 30 + len(self.name.encode()) + 1024 + self.compressed


def read(path: Path) -> tuple[Member, ...]:
    """The members of the wheel at ``path``, of which only the central directory must be there. Raises RefusedWheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise refused(path, f"is no wheel: {error}") from error
    found = [_member(path, info) for info in infos if not info.is_dir()]
    _require_distinct(path, found)
    return tuple(found)


def directory_start(path: Path) -> int | None:
    """Where the central directory begins, once the end of the file is there; None: not yet known."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.start_dir
    except (zipfile.BadZipFile, ValueError):
        return None


def refused(path: Path, why: str) -> RefusedWheel:
    return RefusedWheel(
        f"{path.name} {why}", hint="its bytes are those of the lock: report it to whoever made the wheel"
    )


def _member(path: Path, info: zipfile.ZipInfo) -> Member:
    name, mode = info.filename, info.external_attr >> 16
    if "\\" in name or "\0" in name or not _LEADS_ELSEWHERE.isdisjoint(name.split("/")):
        raise refused(path, f"holds the name {name!r}, which leads elsewhere")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise refused(path, f"holds {name!r}, which is no ordinary file")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _KINDS:
        raise refused(path, f"holds {name!r} in a form that no wheel has")
    return Member(
        name,
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.compress_type == zipfile.ZIP_DEFLATED,
        info.CRC,
        bool(mode & 0o111),
    )


def _require_distinct(path: Path, members: Sequence[Member]) -> None:
    """No name twice, none that differs from another by case alone, and none below another file."""
    seen: dict[str, str] = {}
    for member in members:
        folded = member.name.casefold()
        if folded in seen:
            raise refused(path, f"holds both {seen[folded]!r} and {member.name!r}")
        seen[folded] = member.name
    for folder in _folders(seen):
        if folder in seen:
            raise refused(path, f"holds {seen[folder]!r} as a file and as a folder")


def _folders(names: Iterable[str]) -> set[str]:
    """Every folder that one of ``names`` is in; thousands of names share a few."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
