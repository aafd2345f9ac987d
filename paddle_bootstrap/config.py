"""Settings files, as a pure function of their contents: project, then user, then host-wide; the first that has a key wins.

A key is a long flag's name without its dashes; ``[[mirror]]`` tables add mirrors or change shipped ones. An unknown key is
an error that names the nearest one: a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness import acceptance
from paddle_bootstrap.harness.acceptance import Acceptance
from paddle_bootstrap.lock.asked import requirement
from paddle_bootstrap.mirrors import tables
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.supply.exempt import Exempt, from_table

NAME = "paddle-bootstrap.toml"

# key -> whether it is a list of strings
KEYS: Mapping[str, bool] = {
    "env": False,
    "python": False,
    "paddle": False,
    "build": False,
    "gpus": False,
    "allow-older": False,
    "lock": False,
    "extra": True,
    "require-shipped": False,
    "store": False,
    "device": False,
    "mirror": True,
    "connections": False,
    "limit-rate": False,
    "trusted-host": True,
    "cuda-runtime": False,
    "keep": False,
    "keep-wheels": False,
    "compile-bytecode": False,
    "level": False,
    "within": False,
    "baseline": False,
    "allow-busy": False,
    "force-load": False,
    "checks": True,
    "results": False,
    "report": True,
    "log-file": False,
}
_COUNTS = {"connections"}
_SWITCHES = {"allow-busy", "force-load", "compile-bytecode", "allow-older", "require-shipped", "keep", "keep-wheels"}
_PATHS = {"baseline", "env", "store", "results", "checks", "log-file", "sign-key", "allowed-signers"}
ACCEPT = "accept"  # known deviations; rows, which another function reads
# table -> its keys, and whether each is a list of tables, which another function reads
TABLES: Mapping[str, Mapping[str, bool]] = {
    "bundle": {"sign-key": False, "allowed-signers": False},
    "audit": {"osv": False, "exception": True},
}


def files(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...]:
    """Settings files that are there, strongest first. ``explicit`` (``--config``) stands alone and must be there.

    Raises ConfigError for one that is there and is no file, or cannot be looked at: a setting must not be lost.
    """
    if explicit is not None:
        if str(explicit) == os.devnull:
            return ()  # as for pip: no settings
        if not _is_there(explicit):
            raise ConfigError(f"settings file not found: {explicit}", hint="check the path given to --config")
        return (explicit,)
    user = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    candidates = (cwd / NAME, user / "paddle-bootstrap" / NAME, Path("/etc/paddle-bootstrap") / NAME)
    return tuple(path for path in candidates if _is_there(path))


def _is_there(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return False
        raise ConfigError(f"{path} is a link that leads nowhere", hint="repair or remove it") from None
    except OSError as error:
        hint = "check its permissions; HOME and XDG_CONFIG_HOME say where yours is"
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise ConfigError(f"{path} is {kind}, settings are read from a file", hint="rename or remove it")
    return True


def load(paths: Sequence[Path]) -> dict[str, Any]:
    """The settings of ``paths`` merged, strongest first. Raises ConfigError with file and key."""
    merged: dict[str, Any] = {}
    for path in reversed(paths):
        data = _read(path)
        settings = {key: _checked(path, key, value) for key, value in data.items() if key not in (ACCEPT, *TABLES)}
        settings |= _in_tables(path, data)
        if settings.get("mirror") == []:
            del settings["mirror"]  # tables alone: they choose nothing
        merged.update(settings)
    return merged


def file_of(paths: Sequence[Path], key: str) -> Path | None:
    """The strongest of ``paths`` that sets ``key``, itself or in one of its tables."""
    for path in paths:
        data = _read(path)
        if key in data or any(key in table for name in TABLES if isinstance(table := data.get(name), dict)):
            return path
    return None


def audit_exceptions(paths: Sequence[Path]) -> tuple[Exempt, ...]:
    """The ``[[audit.exception]]`` tables of all ``paths``."""
    found = [(path, _read(path).get("audit")) for path in paths]
    listed = [(path, item.get("exception", [])) for path, item in found if isinstance(item, dict)]
    for path, items in listed:
        if not isinstance(items, list):
            raise ConfigError(f"{path}: exceptions are tables: [[audit.exception]]")
    return tuple(from_table(table, str(path)) for path, items in listed for table in items)


def acceptances(paths: Sequence[Path]) -> tuple[Acceptance, ...]:
    """The rows of ``accept`` of all ``paths``."""
    found = [(path, _read(path).get(ACCEPT, [])) for path in paths]
    for path, rows in found:
        if not isinstance(rows, list):
            raise ConfigError(f"{path}: {ACCEPT} must be a list of tables")
    return tuple(acceptance.from_table(row, str(path)) for path, rows in found for row in rows)


def mirror_tables(paths: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The ``[[mirror]]`` tables of ``paths``, strongest first, merged by name.

    ``mirror = ["NAME", { name = "NAME", url = "..." }]`` holds both a choice and a table.
    """
    return tables.merged([(path, _tables(_read(path).get("mirror"))) for path in paths])


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _read(path: Path) -> dict[str, Any]:
    try:
        return toml.read(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="the file must be TOML in UTF-8: key = value") from error


def _in_tables(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``TABLES`` in ``data``, flat: each is a long flag's name too."""
    found = {}
    for name, known in TABLES.items():
        table = data.get(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} must be a table: [{name}]")
        for key, value in table.items():
            if key not in known:
                raise ConfigError(f"{path}: [{name}]: unknown key {key!r}", hint=tables.nearest(key, known))
            if known[key]:
                continue
            if not isinstance(value, str):
                raise ConfigError(f"{path}: [{name}]: {key} must be a string, not {redact(repr(value))}")
            found[key] = _anchored(path, key, _said(path, key, value))
    return found


def _checked(path: Path, key: str, value: Any) -> Any:
    if key not in KEYS:
        raise ConfigError(f"{path}: unknown key {key!r}", hint=tables.nearest(key, {**KEYS, ACCEPT: True}))
    if KEYS[key]:
        items = [value] if isinstance(value, str) else value
        if key == "mirror" and isinstance(items, list):
            items = [item for item in items if not isinstance(item, dict)]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{path}: {key} must be a list of strings, not {redact(repr(value))}")
        for item in items if key == "extra" else ():
            requirement(item, f"{path}: extra")
        return [_anchored(path, key, _said(path, key, item)) for item in items]
    if key in _COUNTS and type(value) is int:
        return str(value)
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key} must be true or false, not {redact(repr(value))}")
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} must be a string, not {redact(repr(value))}")
    return _anchored(path, key, _said(path, key, value))


def _said(path: Path, key: str, value: str) -> str:
    if not value or "\0" in value:
        raise ConfigError(f"{path}: {key} is empty or holds a zero byte", hint=f"leave {key} out, or give a value")
    return value


def _anchored(path: Path, key: str, value: str) -> str:
    """Relative paths in a settings file are meant from that file's folder."""
    is_path = key in _PATHS or (key == "lock" and value.endswith(".toml")) or (key == "osv" and "://" not in value)
    return tables.beside(path, value) if is_path else value
