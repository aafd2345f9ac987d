"""What was installed into a target, from which lock: ``.paddle-bootstrap/receipt.json``.

Beside it stand a copy of the lock, and the sha256 of every file (``contents.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.replacing import replace_file

FOLDER = ".paddle-bootstrap"
FILES = "files.sha256"
RECEIPT = "receipt.json"
SCHEMA_VERSION = 1
_LISTS = ("groups", "wheels", "links", "found", "first_use")
_KINDS: Mapping[str, tuple[type, ...]] = {  # of what is no text
    **dict.fromkeys(_LISTS, (list,)),
    "build": (dict, type(None)),
    "doubtful": (bool,),
    "files": (str, type(None)),
    "libraries": (dict,),
    "made": (bool,),
    "origins": (dict,),
    "schema_version": (int,),
}
_ROW: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "version": (str,),
    "filename": (str,),
    "size": (int, type(None)),
    "sha256": (str,),
}


@dataclass(frozen=True)
class Receipt:
    """One installation. ``build`` is the lock's Build as plain data."""

    tool: str
    created: str  # UTC, RFC 3339
    lock_name: str
    lock_sha256: str
    build: Mapping[str, Any] | None
    python: str  # "3.11.7"
    base_python: str  # real path of the interpreter that the environment was made from
    cuda_runtime: str  # wheels, system, none
    groups: tuple[str, ...]
    wheels: tuple[Mapping[str, Any], ...]  # name, version, filename, size, sha256
    links: tuple[str, ...]  # relative to the target
    libraries: Mapping[str, str] = field(default_factory=dict)  # runtime system: library name -> file
    origins: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # a wheel's sha256 -> the mirrors that brought it
    files: str | None = None  # sha256 of the list of files; None: written before there were such lists
    found: tuple[str, ...] = ()  # names of the lock that stood in the target before us: no later lock takes them out
    made: bool = False  # the environment was made by this tool: uninstalling removes it whole
    doubtful: bool = False  # a change in place has begun and not ended: no file counts as what was installed
    first_use: tuple[str, ...] = ()  # digests that only their file's own host vouches for, in words
    schema_version: int = SCHEMA_VERSION


def read(env: Path) -> Receipt | None:
    """The receipt in ``env``; None when it has none. Raises InstallFailed when it cannot be understood."""
    path = env / FOLDER / RECEIPT
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InstallFailed(f"{path} cannot be read: {error}", hint=f"remove {path} and install again") from error
    known = {item.name for item in fields(Receipt)}
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION or not known >= set(data):
        raise InstallFailed(f"{path} was written by another version of the tool", hint="update paddle-bootstrap")
    try:
        for key, value in data.items():
            if not isinstance(value, _KINDS.get(key, (str,))):
                raise TypeError(f"{key} is {value!r}")
            if key in _LISTS and not all(
                _is_row(item) if key == "wheels" else isinstance(item, str) for item in data[key]
            ):
                raise TypeError(f"{key} holds something else")
        return Receipt(**{**data, **{key: tuple(data[key]) for key in _LISTS if key in data}})
    except (KeyError, TypeError) as error:
        raise InstallFailed(f"{path} is not a receipt: {error}", hint=f"remove {path} and install again") from error


def _is_row(item: Any) -> bool:
    return isinstance(item, dict) and set(_ROW) <= set(item) and all(isinstance(item[key], _ROW[key]) for key in _ROW)


def write(env: Path, receipt: Receipt, lock: Path, files: bytes) -> Receipt:
    """Put ``receipt``, a copy of ``lock`` and the list ``files`` into ``env``, each in one step; returns what was written."""
    receipt = replace(receipt, files=hashlib.sha256(files).hexdigest())
    folder = env / FOLDER
    folder.mkdir(exist_ok=True)
    copy = folder / f"pylock.{receipt.lock_name}.toml"
    replace_file(copy, lock.read_bytes(), 0o644)  # ``lock`` may be such a copy itself
    replace_file(folder / FILES, files, 0o644)
    replace_file(folder / RECEIPT, _text(receipt), 0o644)
    for old in folder.glob("pylock.*.toml"):
        if old != copy:
            old.unlink()
    return receipt


def doubt(env: Path, receipt: Receipt) -> None:
    """``env`` is about to be changed in place."""
    replace_file(env / FOLDER / RECEIPT, _text(replace(receipt, doubtful=True)), 0o644)


def _text(receipt: Receipt) -> bytes:
    return (json.dumps(asdict(receipt), indent=2) + "\n").encode()
