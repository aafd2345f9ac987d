"""Settings files, as a pure function of their contents: project, then user, then host-wide; the first that has a key wins.

A key is a long flag's name without its dashes; ``[[mirror]]`` tables add mirrors or change shipped ones. An unknown key is
an error that names the nearest one: a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors import rows
from paddle_bootstrap.mirrors.redact import redact

NAME = "paddle-bootstrap.toml"

# key -> whether it is a list of strings
KEYS: Mapping[str, bool] = {
    "env": False,
    "python": False,
    "paddle": False,
    "lock": False,
    "store": False,
    "device": False,
    "mirror": True,
    "connections": False,
    "limit-rate": False,
    "trusted-host": True,
    "cuda-runtime": False,
    "keep": False,
    "keep-wheels": False,
    "level": False,
    "checks": True,
    "results": False,
    "report": True,
    "log-file": False,
}
_COUNTS = {"connections"}
_SWITCHES = {"keep", "keep-wheels"}
_WORDS = {str: "a string", int: "a whole number", bool: "true or false"}
_PATHS = {"env", "store", "results", "checks", "log-file"}


def files(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...]:
    """Settings files that exist, strongest first. ``explicit`` (``--config``) stands alone and must exist."""
    if explicit is not None:
        if not explicit.is_file():
            raise ConfigError(f"settings file not found: {explicit}", hint="check the path given to --config")
        return (explicit,)
    user = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    candidates = (cwd / NAME, user / "paddle-bootstrap" / NAME, Path("/etc/paddle-bootstrap") / NAME)
    return tuple(path for path in candidates if path.is_file())


def load(paths: Sequence[Path]) -> dict[str, Any]:
    """The settings of ``paths`` merged, strongest first. Raises ConfigError with file and key."""
    merged: dict[str, Any] = {}
    for path in reversed(paths):
        settings = {key: _checked(path, key, value) for key, value in _read(path).items()}
        if settings.get("mirror") == []:
            del settings["mirror"]  # tables alone: they choose nothing
        merged.update(settings)
    return merged


def mirror_tables(paths: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The ``[[mirror]]`` tables of ``paths``, strongest first; one name is one mirror, and its stronger keys win.

    ``mirror = ["NAME", { name = "NAME", url = "..." }]`` holds both a choice and a table.
    """
    merged: dict[str, dict[str, Any]] = {}
    for path in paths:
        for table in _tables(_read(path).get("mirror")):
            checked = _checked_table(path, table)
            merged[checked["name"]] = {**checked, **merged.get(checked["name"], {})}
    return tuple(merged.values())


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _checked_table(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    where = f"{path}: [[mirror]] {table.get('name', '')}".rstrip()
    if not isinstance(table.get("name"), str) or not table["name"]:
        raise ConfigError(f"{where} has no name", hint='add: name = "corp"')
    for key, value in table.items():
        if key not in rows.KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}", hint=_nearest(key, rows.KEYS))
        kind = rows.KEYS[key]
        if isinstance(kind, tuple):
            if value not in kind:
                raise ConfigError(f"{where}: {key} must be one of {', '.join(kind)}")
        elif type(value) is not kind:
            raise ConfigError(f"{where}: {key} must be {_WORDS[kind]}")
    if not 1 <= table.get("connections", 1) <= 64:
        raise ConfigError(f"{where}: connections must be between 1 and 64")
    ca = {"ca": _beside(path, table["ca"])} if "ca" in table else {}
    return {**table, **ca, "name": table["name"].lower()}


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = toml.read(path)
    except (OSError, UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="the file must be TOML in UTF-8: key = value") from error
    return data


def _checked(path: Path, key: str, value: Any) -> Any:
    if key not in KEYS:
        raise ConfigError(f"{path}: unknown key {key!r}", hint=_nearest(key, KEYS))
    if KEYS[key]:
        items = [value] if isinstance(value, str) else value
        if key == "mirror" and isinstance(items, list):
            items = [item for item in items if not isinstance(item, dict)]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{path}: {key} must be a list of strings, not {redact(repr(value))}")
        return [_anchored(path, key, _said(path, key, item)) for item in items]
    if key in _COUNTS and type(value) is int:
        return str(value)
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key} must be true or false, not {value!r}")
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} must be a string, not {value!r}")
    return _anchored(path, key, _said(path, key, value))


def _said(path: Path, key: str, value: str) -> str:
    if not value or "\0" in value:
        raise ConfigError(f"{path}: {key} is empty or holds a zero byte", hint=f"leave {key} out, or give a value")
    return value


def _anchored(path: Path, key: str, value: str) -> str:
    """Relative paths in a settings file are meant from that file's folder."""
    is_path = key in _PATHS or (key == "lock" and value.endswith(".toml"))
    return _beside(path, value) if is_path else value


def _beside(path: Path, value: str) -> str:
    return str(path.parent / os.path.expanduser(value))  # noqa: PTH111 no error for the home of nobody
