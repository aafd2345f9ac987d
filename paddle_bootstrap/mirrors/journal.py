"""Changes of settings files that can be taken back, byte for byte.

What a file held is written down first, in a file that only its owner can read; then the files are replaced, one atomic
step each. A run that is killed in between can be undone too: a file is then as it was, or as it was meant to be.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import ConfigError, InstallFailed, UsageError
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.replacing import replace_file

_PRIVATE = 0o600


@dataclass(frozen=True)
class Change:
    """One file's content now (None: it is not there) and as it shall be."""

    path: Path  # links resolved, so that a linked settings file stays a link
    before: bytes | None
    mode_before: int | None
    after: bytes
    mode: int

    @property
    def changes(self) -> bool:
        return (self.before, self.mode_before) != (self.after, self.mode)

    def diff(self) -> str:
        """A unified diff without secrets."""
        old, new = (redact((data or b"").decode("utf-8", "replace")).splitlines() for data in (self.before, self.after))
        names = "/dev/null" if self.before is None else str(self.path), str(self.path)
        return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def read(path: Path) -> tuple[bytes | None, int | None]:
    """A settings file's bytes and permissions; nothing when it is not there. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # whoever reads a pipe waits
            raise ConfigError(f"{path} is no file", hint="nothing was changed")
        return path.read_bytes(), stat.S_IMODE(mode)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="nothing was changed") from error


class Journal:
    """The changes that were made, newest last, one file each, under ``$XDG_STATE_HOME/paddle-bootstrap/mirror``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = Path(environ.get("HOME") or "/")
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
        self.folder = state / "paddle-bootstrap" / "mirror"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    def apply(self, changes: Sequence[Change]) -> None:
        """Write all of ``changes`` or, when one of them cannot be written, none. Raises InstallFailed."""
        entry = self._note(changes)
        try:
            for change in changes:
                change.path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(change.path, change.after, change.mode, keep_owner=True)
        except OSError as error:
            self._restore(entry, force=False)
            raise InstallFailed(
                f"cannot write {change.path}: {error.strerror}",
                hint="nothing was changed; --scope user writes only your own files, --scope system needs root, "
                "mirror env sets one shell",
            ) from error

    def undo(self, *, force: bool) -> tuple[Path, ...]:
        """Take the newest changes back; returns the files. Raises UsageError when there are none, or a file is newer."""
        entries = self._entries()
        if not entries:
            raise UsageError("there is nothing to undo", hint="paddle-bootstrap mirror status shows what is in force")
        return self._restore(entries[-1], force=force)

    def _entries(self) -> list[Path]:
        found = [path for path in self.folder.glob("*.json") if path.stem.isdecimal()]
        return sorted(found, key=lambda path: int(path.stem))

    def _note(self, changes: Sequence[Change]) -> Path:
        entries = self._entries()
        number = int(entries[-1].stem) + 1 if entries else 1
        rows = [
            {
                "path": str(change.path),
                "before": None if change.before is None else base64.b64encode(change.before).decode(),
                "mode": change.mode_before,
                "after_sha256": _digest(change.after),
                "made_folders": [str(folder) for folder in change.path.parents if not folder.exists()],
            }
            for change in changes
        ]
        path = self.folder / f"{number:04}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"schema": 1, "files": rows}, indent=1)
            replace_file(path, text.encode(), _PRIVATE, keep_owner=True)
        except OSError as error:
            raise InstallFailed(
                f"cannot write down what to undo: {path}: {error.strerror}", hint="nothing was changed"
            ) from error
        return path

    def _restore(self, entry: Path, *, force: bool) -> tuple[Path, ...]:
        try:
            rows = [_row(row) for row in json.loads(entry.read_bytes())["files"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{entry} cannot be read ({type(error).__name__})", hint=f"remove it: {entry}") from error
        newer = [str(row.path) for row in rows if not row.is_ours]
        if newer and not force:
            raise UsageError(
                f"changed since by somebody else: {', '.join(newer)}",
                hint="nothing was undone; --force gives the file its old content all the same",
            )
        for row in rows:
            _put_back(row)
        entry.unlink()
        return tuple(row.path for row in rows)


@dataclass(frozen=True)
class _Row:
    """One file of an entry, as it was written down."""

    path: Path
    before: bytes | None
    mode: int
    after_sha256: str
    made_folders: tuple[Path, ...]

    @property
    def is_ours(self) -> bool:
        """The file is as it was made, or as it was before that."""
        now, _ = read(self.path)
        return _digest(now) == self.after_sha256 or now == self.before


def _row(data: Mapping[str, Any]) -> _Row:
    """Raises KeyError, TypeError, ValueError for what we did not write."""
    before = None if data["before"] is None else base64.b64decode(data["before"], validate=True)
    folders = tuple(Path(folder) for folder in data["made_folders"])
    return _Row(Path(data["path"]), before, int(data["mode"] or 0), str(data["after_sha256"]), folders)


def _put_back(row: _Row) -> None:
    path = row.path
    try:
        if row.before is None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            for folder in row.made_folders:  # innermost first
                with contextlib.suppress(OSError):  # somebody put something there
                    folder.rmdir()
        elif read(path) != (row.before, row.mode):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, row.before, row.mode, keep_owner=True)
    except OSError as error:
        raise InstallFailed(f"cannot write {path}: {error.strerror}", hint="paddle-bootstrap mirror undo") from error


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
