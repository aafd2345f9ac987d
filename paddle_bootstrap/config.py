"""Settings files, as a pure function of their contents: project, then user, then host-wide; the first that has a key wins.

A key is a long flag's name without its dashes. An unknown key is an error that names the nearest one: a setting that is
silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError

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
    "level": False,
    "checks": True,
    "results": False,
    "report": True,
    "log-file": False,
}
_COUNTS = {"connections"}
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
        merged.update(_read(path))
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        data = toml.read(path)
    except (OSError, UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="the file must be TOML in UTF-8: key = value") from error
    return {key: _checked(path, key, value) for key, value in data.items()}


def _checked(path: Path, key: str, value: Any) -> Any:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(KEYS)}"
        raise ConfigError(f"{path}: unknown key {key!r}", hint=meant)
    if KEYS[key]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{path}: {key} must be a list of strings, not {value!r}")
        return [_anchored(path, key, item) for item in items]
    if key in _COUNTS and type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} must be a string, not {value!r}")
    return _anchored(path, key, value)


def _anchored(path: Path, key: str, value: str) -> str:
    """Relative paths in a settings file are meant from that file's folder."""
    is_path = key in _PATHS or (key == "lock" and value.endswith(".toml"))
    return str(path.parent / Path(value).expanduser()) if is_path else value
