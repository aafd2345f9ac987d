"""Where the user's pip fetches from: its settings files and variables, with pip's own precedence.

Weakest first: host-wide files, the user's, the active environment's, ``PIP_CONFIG_FILE``, ``PIP_*`` variables. In each,
``[global]`` before ``[install]``. A stronger value replaces a weaker one, lists included. Rules:
pip/_internal/configuration.py of pip 26.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors.user_settings import Entry, UserSettings, is_true, local_address

_SECTIONS = ("global", "install")
_NAME = "pip.conf"


def read(environ: Mapping[str, str], cwd: Path, etc: Path) -> UserSettings:
    """What the user's pip would use. A file that cannot be read is a warning, and the others still count."""
    values = _values(environ, cwd, etc)
    entries = [
        *_entries(values, "index-url", "simple", cwd),
        *_entries(values, "extra-index-url", "simple", cwd),
        *_entries(values, "find-links", "find-links", cwd),
    ]
    no_index = is_true(_value(values, "no-index"))
    if _value(values, "trusted-host"):
        origin = values["trusted-host"][1]
        progress.warn(f"trusted-host in {origin} is ignored: certificates are always checked; name yours with cert")
    return UserSettings(
        entries=tuple(entry for entry in entries if not (no_index and entry.kind == "simple")),
        certificate=_value(values, "cert") or None,
        proxy=_value(values, "proxy") or None,
        no_index=no_index,
    )


def _value(values: Mapping[str, tuple[str, str]], key: str) -> str:
    return values.get(key, ("", ""))[0]


def _entries(values: Mapping[str, tuple[str, str]], key: str, kind: str, cwd: Path) -> Iterator[Entry]:
    text, origin = values.get(key, ("", ""))
    for url in text.split():
        yield Entry(local_address(url, cwd), "find-links" if kind == "find-links" else "simple", f"{key} in {origin}")


def _values(environ: Mapping[str, str], cwd: Path, etc: Path) -> dict[str, tuple[str, str]]:
    """Key -> (value, origin). Sections outrank files: [install] of a weak file beats [global] of a strong one."""
    by_section: dict[str, dict[str, tuple[str, str]]] = {section: {} for section in _SECTIONS}
    for path in _files(environ, cwd, etc):
        for section, key, value in _read(path):
            if value:
                by_section[section][key] = (value, str(path))
    merged: dict[str, tuple[str, str]] = {}
    for section in _SECTIONS:
        merged.update(by_section[section])
    for name, value in environ.items():
        if name.startswith("PIP_") and value and name != "PIP_CONFIG_FILE":
            merged[name[4:].lower().replace("_", "-")] = (value, name)
    return merged


def _files(environ: Mapping[str, str], cwd: Path, etc: Path) -> list[Path]:
    """Settings files that exist, weakest first."""
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return []
    home = Path(environ.get("HOME") or "/")
    wide = (environ.get("XDG_CONFIG_DIRS") or str(etc / "xdg")).split(":")
    candidates = [Path(folder) / "pip" / _NAME for folder in wide if folder] + [etc / _NAME]
    named = cwd / explicit if explicit else None
    if named is None or not named.exists():
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        candidates += [home / ".pip" / _NAME, config / "pip" / _NAME]
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            candidates.append(Path(environ[variable]) / _NAME)
            break
    if named is not None:
        candidates.append(named)
    return [path for path in candidates if path.is_file()]


def _read(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        progress.warn(f"{path}: {error.strerror}; its settings are not used")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        progress.warn(f"{path}: not UTF-8; read as far as possible")
        text = data.decode("utf-8", "replace")
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:  # its text quotes the file, which may hold a password
        progress.warn(f"{path}: not a settings file ({type(error).__name__}); its settings are not used")
        return
    for section in _SECTIONS:
        if parser.has_section(section):
            for key, value in parser.items(section):
                yield section, key.lower().replace("_", "-").removeprefix("--"), value.strip()
