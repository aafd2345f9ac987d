"""Where the user's pip fetches from: its settings files and variables, with pip's own precedence.

Weakest first: host-wide files, the user's, the active environment's, ``PIP_CONFIG_FILE``, ``PIP_*`` variables. In each,
``[global]`` before ``[install]``. A stronger value replaces a weaker one, lists included. Rules:
pip/_internal/configuration.py of pip 26.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.mirrors.user_settings import Entry, Level, UserSettings, is_true, local_address

_SECTIONS = ("global", "install")
NAME = "pip.conf"
TELLING = ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "proxy")


def read(environ: Mapping[str, str], cwd: Path, etc: Path) -> UserSettings:
    """What the user's pip would use. A file that cannot be read is a warning, and the others still count."""
    values = _values(environ, cwd, etc)
    entries = [
        *_entries(values, "index-url", "simple", cwd),
        *_entries(values, "extra-index-url", "simple", cwd),
        *_entries(values, "find-links", "find-links", cwd),
    ]
    no_index = is_true(_value(values, "no-index"))
    default = (
        next((entry for entry in entries if entry.kind == "simple"), None) if _value(values, "index-url") else None
    )
    return UserSettings(
        entries=tuple(entry for entry in entries if not (no_index and entry.kind == "simple")),
        default=None if no_index else default,
        certificate=_value(values, "cert") or None,
        proxy=_value(values, "proxy") or None,
        unchecked=f"trusted-host in {values['trusted-host'][1]}" if _value(values, "trusted-host") else "",
        no_index=no_index,
    )


def levels(environ: Mapping[str, str], cwd: Path, etc: Path) -> tuple[Level, ...]:
    """Every place that pip looks at, weakest first, and what it says of where to fetch from."""
    found = []
    for name, path in _candidates(environ, cwd, etc):
        exists = path.is_file()
        rows = _read(path, warn=False) if exists else ()
        says = [(f"{key} in [{section}]", value) for section, key, value in rows]
        found.append(Level(name, str(path), _telling(says), exists))
    for variable, value in sorted(environ.items()):
        key = _key_of(variable)
        if key in TELLING and value:
            found.append(Level("environment", variable, _telling([(key, value)])))
    return tuple(found)


def _telling(says: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, redact(" ".join(value.split()))) for key, value in says if key.split()[0] in TELLING)


def _key_of(variable: str) -> str:
    return variable[4:].lower().replace("_", "-") if variable.startswith("PIP_") else ""


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
        for section, key, value in _read(path, warn=True):
            if value and section in _SECTIONS:
                origin = str(path) if section == "global" else f"[{section}] of {path}"
                by_section[section][key] = (value, origin)
    merged: dict[str, tuple[str, str]] = {}
    for section in _SECTIONS:
        merged.update(by_section[section])
    for name, value in environ.items():
        if name.startswith("PIP_") and value and name != "PIP_CONFIG_FILE":
            merged[_key_of(name)] = (value, name)
    return merged


def _files(environ: Mapping[str, str], cwd: Path, etc: Path) -> list[Path]:
    """Settings files that exist, weakest first."""
    return [path for _, path in _candidates(environ, cwd, etc) if path.is_file()]


def _candidates(environ: Mapping[str, str], cwd: Path, etc: Path) -> list[tuple[str, Path]]:
    """(level, file), weakest first, whether it exists or not."""
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return []
    wide = (environ.get("XDG_CONFIG_DIRS") or str(etc / "xdg")).split(":")
    found = [("system", Path(folder) / "pip" / NAME) for folder in wide if folder] + [("system", etc / NAME)]
    named = cwd / explicit if explicit else None
    if named is None or not named.exists():
        found += [("user", Path(environ.get("HOME") or "/") / ".pip" / NAME), ("user", user_file(environ))]
    if site := site_file(environ):
        found.append(("site", site))
    if named is not None:
        found.append(("PIP_CONFIG_FILE", named))
    return found


def user_file(environ: Mapping[str, str]) -> Path:
    """Where ``pip config --user`` writes."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config") / "pip" / NAME


def site_file(environ: Mapping[str, str]) -> Path | None:
    """The active environment's, where ``pip config --site`` writes."""
    active = next((environ[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name)), None)
    return Path(active) / NAME if active else None


def _read(path: Path, *, warn: bool) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of every section, of a file that pip itself refuses too."""
    tell: Callable[[str], None] = progress.warn if warn else lambda _: None
    try:
        data = path.read_bytes()
    except OSError as error:
        tell(f"{path}: {error.strerror}; its settings are not used")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        tell(f"{path}: not UTF-8; read as far as possible")
        text = data.decode("utf-8", "replace")
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
        configparser.RawConfigParser().read_string(text)
    except (configparser.DuplicateSectionError, configparser.DuplicateOptionError):
        tell(f"{path}: pip itself refuses it: a section or an option stands there twice")
    except configparser.Error as error:  # its text quotes the file, which may hold a password
        tell(f"{path}: not a settings file ({type(error).__name__}); its settings are not used")
        return
    for section in parser.sections():
        for key, value in parser.items(section):
            yield section, key.lower().replace("_", "-").removeprefix("--"), value.strip()
