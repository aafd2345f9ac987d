"""Whether a store's bytes are still what they were when they were verified: disks lie, and people edit."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.digest import record_hash_of, sha256_of
from paddle_bootstrap.fetch.inventory import Stored

_MOST = 8  # threads; beyond it the disk decides


@dataclass(frozen=True)
class Damage:
    """``path`` is what has to go: the wheel's file, or the whole unpacked copy."""

    stored: Stored
    path: Path
    reasons: tuple[str, ...]


def damages(wheels: Sequence[Stored]) -> list[Damage]:
    """Compare every wheel with its sha256, and every unpacked file with its RECORD."""
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), _MOST)) as pool:
        return [damage for found in pool.map(lambda each: list(_damages(each)), wheels) for damage in found]


def _damages(stored: Stored) -> Iterator[Damage]:
    wrong = _wrong(stored.wheel, stored.sha256) if stored.wheel else None
    if stored.wheel and wrong:
        yield Damage(stored, stored.wheel, (wrong,))
    if stored.unpacked and (reasons := tuple(_changes(stored.unpacked, None if wrong else stored.wheel))):
        yield Damage(stored, stored.unpacked, reasons)


def _wrong(wheel: Path, sha256: str) -> str | None:
    try:
        return None if sha256_of(wheel) == sha256 else "its bytes are not those of its sha256"
    except OSError as error:  # a failing disk
        return f"cannot be read: {error.strerror}"


def _changes(unpacked: Path, wheel: Path | None) -> Iterator[str]:
    """What differs from the RECORD, and the RECORD from the wheel's own where that is here."""
    records = list(unpacked.glob("*.dist-info/RECORD"))
    if len(records) != 1:
        yield "its RECORD is missing"
        return
    try:
        content = records[0].read_bytes()
        listed = [row for row in csv.reader(content.decode("utf-8", "replace").splitlines()) if len(row) > 1]
    except (OSError, csv.Error) as error:
        yield f"its RECORD cannot be read: {getattr(error, 'strerror', None) or error}"
        return
    if wheel and content != _packed(wheel, records[0].relative_to(unpacked).as_posix()):
        yield "its RECORD is not the wheel's"
    rows = {row[0]: row[1] for row in listed}
    for name, told in rows.items():
        if why := _change(unpacked / name, told):
            yield f"{name} {why}"
    for folder, folders, files in os.walk(unpacked):
        for file in [*files, *(name for name in folders if Path(folder, name).is_symlink())]:
            path = Path(folder, file).relative_to(unpacked)
            if path.as_posix() not in rows and "__pycache__" not in path.parts[:-1]:
                yield f"{path.as_posix()} is not in its RECORD"


def _change(path: Path, told: str) -> str | None:
    algorithm, _, digest = told.partition("=")
    try:
        if digest and record_hash_of(path, algorithm) != told:
            return "is changed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        return f"has a hash that is unknown here: {algorithm}"
    return None


def _packed(wheel: Path, name: str) -> bytes | None:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name) if name in archive.namelist() else None
