"""A user's ``[[mirror]]`` tables: what is wrong with one is told when the settings are read, with its file and key.

A mirror that cannot be meant as written would else be found out in the middle of a run, or never, where another serves.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import ConfigError, UsageError
from paddle_bootstrap.mirrors import rows
from paddle_bootstrap.mirrors.credentials import split
from paddle_bootstrap.mirrors.redact import redact

_WORDS = {str: "a string", int: "a whole number", bool: "true or false"}
_NAME = re.compile(r"\w[\w.+-]*")  # else --mirror would take it for an address or a folder
_AUTH = re.compile(r"env:[A-Za-z_]\w*|netrc|keyring", re.ASCII)
_OF_AN_ADDRESS = ("auth", "origin")  # never said of another one


def merged(files: Sequence[tuple[Path, Sequence[Mapping[str, Any]]]]) -> tuple[dict[str, Any], ...]:
    """The tables of ``files``, strongest first; one name is one mirror, and its stronger keys win. Raises ConfigError.

    A password that a weaker file names is not for an address that a stronger one gives.
    """
    found: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for path, tables in files:
        here = [_checked(path, table) for table in tables]
        for table in here:
            name = table["name"]
            if sum(other["name"] == name for other in here) > 1:
                raise ConfigError(f"{path}: two [[mirror]] have the name {name!r}", hint="rename or remove one of them")
            stronger = found.get(name, {})
            told = {key: table[key] for key in table if not ("url" in stronger and key in _OF_AN_ADDRESS)}
            found[name] = {**told, **stronger}
            places.setdefault(name, f"{path}: [[mirror]] {name}")
    for name, table in found.items():
        _require_whole(places[name], table)
    return tuple(found.values())


def nearest(key: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # slow to import, and seldom needed

    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"


def beside(path: Path, value: str) -> str:
    """Relative paths in a settings file are meant from that file's folder."""
    return str(path.parent / os.path.expanduser(value))  # noqa: PTH111 no error for the home of nobody


def _checked(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with its name in small letters. Raises ConfigError for what no other file can put right."""
    name = table.get("name")
    where = f"{path}: [[mirror]] {redact(name) if isinstance(name, str) else ''}".rstrip()
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where} has no name", hint='add: name = "corp"')
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: name cannot be chosen with --mirror", hint="use letters, digits, - . + and _")
    for key, value in table.items():
        _require_kind(where, key, value)
    if not 1 <= table.get("connections", 1) <= 64:
        raise ConfigError(f"{where}: connections must be between 1 and 64, not {table['connections']}")
    if "auth" in table and not _AUTH.fullmatch(table["auth"]):
        raise ConfigError(
            f"{where}: auth must be env:VARIABLE, netrc or keyring", hint="no password stands in this file"
        )
    if "url" in table:
        _require_address(where, table["url"])
    ca = {"ca": _certificates(where, beside(path, table["ca"]))} if "ca" in table else {}
    return {**table, **ca, "name": name.lower()}


def _require_kind(where: str, key: str, value: Any) -> None:
    if key not in rows.KEYS:
        raise ConfigError(f"{where}: unknown key {key!r}", hint=nearest(key, rows.KEYS))
    kind = rows.KEYS[key]
    if isinstance(kind, tuple):
        if value not in kind:
            raise ConfigError(f"{where}: {key} must be one of {', '.join(kind)}")
    elif type(value) is not kind:
        raise ConfigError(f"{where}: {key} must be {_WORDS[kind]}")


def _require_address(where: str, url: str) -> None:
    """What stands before an @ is not repeated."""
    scheme, separator, _ = url.partition("://")
    if not url.startswith(("https://", "http://", "file:")):
        if separator:
            raise ConfigError(f"{where}: url is of an unknown kind: {scheme}:", hint="use https, http or file")
        place = url.rpartition("@")[2]
        example = Path(place).as_uri() if place.startswith("/") else f"https://{place or 'HOST/simple'}"
        raise ConfigError(f"{where}: url is no address: {place!r}", hint=f'write: url = "{example}"')
    try:
        split(url)
    except UsageError as error:
        raise ConfigError(f"{where}: url is {error}", hint=error.hint) from error


def _certificates(where: str, path: str) -> str:
    import ssl  # few settings name certificates, and every verb reads settings

    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 a zero byte is an error like any other
        if stat.S_ISDIR(mode):
            os.listdir(path)  # noqa: PTH208
        elif not stat.S_ISREG(mode):
            raise ConfigError(f"{where}: ca is neither a file nor a folder: {path}")
        else:
            ssl.create_default_context(cafile=path)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{where}: ca holds no certificates: {path}", hint="it must be a PEM file") from error
    except OSError as error:
        raise ConfigError(f"{where}: ca cannot be read: {path}: {error.strerror}", hint="check the path") from error
    return path


def _require_whole(where: str, table: Mapping[str, Any]) -> None:
    url = table.get("url", "")
    if not url:
        if table["name"] not in rows.shipped_names():
            raise ConfigError(f"{where} has no url", hint='add: url = "https://HOST/simple"')
        return
    if table.get("origin") and not url.startswith("https://"):
        hint = "a lock believes what an origin says of digests: give its https address, and its certificate with ca"
        raise ConfigError(f"{where} is an origin without https", hint=hint)
    if auth := table.get("auth"):
        if url.startswith("file:"):
            raise ConfigError(f"{where}: auth has no effect on a folder", hint="leave it out")
        login = split(url)[1]
        if login and (login.complete or auth.startswith("env:")):
            raise ConfigError(f"{where}: its url holds a login, and so does auth", hint="take the one in the url out")
