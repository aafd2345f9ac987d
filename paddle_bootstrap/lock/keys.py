"""The keys that PEP 751 knows. One that it does not know may change what a lock means, and readers drop it silently."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paddle_bootstrap import progress
from paddle_bootstrap.errors import DamagedLock

VERSION = "1.0"
_TOP = (
    "lock-version",
    "environments",
    "requires-python",
    "extras",
    "dependency-groups",
    "default-groups",
    "created-by",
    "packages",
    "tool",
)
_PACKAGE = (
    "name",
    "version",
    "marker",
    "requires-python",
    "dependencies",
    "vcs",
    "directory",
    "archive",
    "index",
    "sdist",
    "wheels",
    "attestation-identities",
    "tool",
)
_FILE = ("name", "upload-time", "url", "path", "size", "hashes")

# packaging says the same of a newer minor version, straight onto standard error
logging.getLogger("packaging.pylock").addHandler(logging.NullHandler())


def judge(path: Path, data: Mapping[str, Any], *, ours: bool) -> None:
    """Refuse what a lock of ours may not hold; warn of what is ignored in another tool's. Raises DamagedLock."""
    newer = data.get("lock-version") != VERSION
    if ours and newer:
        told = f"{path}: lock-version {data.get('lock-version')}, this version reads {VERSION}"
        raise DamagedLock(told, hint="update paddle-bootstrap")
    unknown = list(_unknown(data))
    if unknown and ours:
        raise DamagedLock(f"{path}: unknown keys: {', '.join(unknown)}")
    if unknown or newer:
        keys = f"; ignored: {', '.join(unknown)}" if unknown else ""
        _warn_once(f"{path}: lock-version {data.get('lock-version')}, this version reads {VERSION}{keys}")


@functools.cache
def _warn_once(message: str) -> None:
    """One run reads its lock several times."""
    progress.warn(message)


def _unknown(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _strange("", data, _TOP)
    for package in data.get("packages", ()):
        where = f"packages {package.get('name')}: "
        yield from _strange(where, package, _PACKAGE)
        for file in (*package.get("wheels", ()), *filter(None, [package.get("sdist")])):
            yield from _strange(where, file, _FILE)


def _strange(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    for key in table:
        if key not in known:
            from difflib import get_close_matches  # slow to import, and seldom needed

            near = get_close_matches(key, known, n=1)
            yield f"{where}{key}{f' (did you mean {near[0]}?)' if near else ''}"
