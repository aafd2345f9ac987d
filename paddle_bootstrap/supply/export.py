"""An export of advisories on a disk: one JSON file, a folder of them, or a zip as osv.dev offers it (PyPI/all.zip)."""

from __future__ import annotations

import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.supply.osv import ECOSYSTEM, Advisory, parse

_UNREADABLE = (  # RuntimeError: it is encrypted
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
_HINT = "give a file, a folder or a zip of OSV records: https://google.github.io/osv.dev/data/"


@dataclass(frozen=True)
class Known:
    """Where was looked: ``records`` were read about PyPI, the newest of ``newest`` (RFC 3339); those of the wanted packages."""

    source: str
    records: int | None  # None: a service, which does not tell
    newest: str
    advisories: tuple[Advisory, ...]


def read(path: Path, wanted: Set[str]) -> Known:
    """What the export at ``path`` says of the packages ``wanted`` (normalised names).

    Raises CouldNotLook for an export that says nothing of PyPI, and for every file that cannot be read: what is missing
    from it would look like good news.
    """
    count, newest, found = 0, "", []
    for where, content in _contents(path):
        for record in _records(content, where):
            advisory = parse(record, where)
            if not advisory.affected:
                continue
            count += 1
            newest = max(newest, advisory.modified)
            if any(affected.package in wanted for affected in advisory.affected):
                found.append(advisory)
    if not count:
        raise CouldNotLook(f"{path} holds no advisory about {ECOSYSTEM}", hint=_HINT)
    return Known(str(path), count, newest, tuple(found))


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            every = (Path(folder, name) for folder, _, names in os.walk(path, onerror=_raised) for name in names)
            for file in sorted(file for file in every if file.suffix in (".json", ".zip")):
                yield from _contents(file)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in sorted(name for name in archive.namelist() if name.endswith(".json")):
                    yield f"{path}: {name}", archive.read(name)
        else:
            yield str(path), path.read_bytes()
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error)
        shown = redact(str(getattr(error, "filename", None) or path))  # an address without its scheme, perhaps
        raise CouldNotLook(f"{shown} cannot be read: {reason}", hint=_HINT) from error


def _raised(error: OSError) -> None:
    """A folder that cannot be looked into holds what nobody knows."""
    raise error


def _records(content: bytes, where: str) -> list[Any]:
    """A file holds one record, a list of them, or the answer of a query."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CouldNotLook(
            f"{where} is not JSON: {error}", hint="get the export again: it may have been cut"
        ) from error
    if isinstance(data, dict) and isinstance(data.get("vulns"), list):
        return list(data["vulns"])
    return data if isinstance(data, list) else [data]
