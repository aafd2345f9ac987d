"""Changes uv's settings with tomlkit: what is not changed stays as it is, comments and order included."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import tomlkit
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors.model import identity

Table = MutableMapping[str, Any]


def with_default_index(text: str, url: str, *, keyring: bool = False) -> str:
    """``text`` of a uv.toml with ``url`` as the index of last resort, wherever the file names one. Raises ConfigError.

    ``keyring``: uv asks it for the password; without this setting it asks none.
    """
    document = _parse(text)
    pip = document.get("pip")
    if isinstance(pip, MutableMapping):
        _replace_default(pip, url)  # it outranks the top level for `uv pip`
    if not _replace_default(document, url):
        _add_index(document, {"url": url, "default": True})
    for table in (document, pip) if keyring else ():
        if table is document or isinstance(table, MutableMapping):
            table["keyring-provider"] = "subprocess"
    return _text(document, text)


def with_python_mirror(text: str, url: str) -> str:
    """``text`` of a uv.toml with ``url`` as the place of interpreters. Raises ConfigError."""
    document = _parse(text)
    document["python-install-mirror"] = url
    return _text(document, text)


def with_explicit_index(text: str, names: Sequence[str], url: str, packages: Sequence[str], *, owned: bool) -> str:
    """``text`` of a pyproject.toml in which ``packages`` come from the index at ``url`` and nothing else does.

    An explicit index with that address is used as it is; otherwise the first of ``names`` that no other address has, with a
    number where all are taken. ``owned``: the first name is its owner's, so the index of that name moves to ``url``.
    """
    document = _parse(text)
    uv = _table(_table(document, "tool", sub=True), "uv", sub=True)
    name = _index_name(_indexes(uv), names, url, owned=owned)
    same = [index for index in _indexes(uv) if index.get("name") == name]
    for index in same:
        index["url"] = url
        index["explicit"] = True
    if not same:
        _add_index(uv, {"name": name, "url": url, "explicit": True})
    sources = _table(uv, "sources", sub=False)
    for package in packages:
        spelled = [key for key in sources if canonicalize_name(key) == canonicalize_name(package)]
        for key in spelled[1:]:  # uv refuses two spellings of one package
            del sources[key]
        source = tomlkit.inline_table()
        source.append("index", name)
        sources[spelled[0] if spelled else package] = source
    return _text(document, text)


def _index_name(indexes: Sequence[Table], names: Sequence[str], url: str, *, owned: bool) -> str:
    named = [index for index in indexes if isinstance(index.get("name"), str)]
    for index in named:
        if index.get("explicit") is True and _is_at(index, url):
            return str(index["name"])
    taken = set() if owned else {index["name"] for index in named if not _is_at(index, url)}
    numbered = (f"{names[-1]}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain(names, numbered) if name not in taken)


def _is_at(index: Table, url: str) -> bool:
    try:
        return identity(str(index.get("url"))) == identity(url)
    except ValueError:  # an address that nobody can read
        return False


def _replace_default(table: Table, url: str) -> bool:
    """True: it named an index of last resort, in one form or both, and names ``url`` now."""
    defaults = [index for index in _indexes(table) if index.get("default") is True]
    for index in defaults:
        index["url"] = url
        for key in ("name", "format"):  # they were the other's
            index.pop(key, None)
    if "index-url" in table:
        table["index-url"] = url
    return bool(defaults) or "index-url" in table


def _add_index(table: Table, row: Mapping[str, Any]) -> None:
    if "index" not in table:
        table["index"] = tomlkit.array() if isinstance(table, tomlkit.items.InlineTable) else tomlkit.aot()
    indexes = table["index"]
    if not isinstance(indexes, list):
        raise ConfigError("index is no list there", hint="repair the file, then run the same command again")
    entry: Any = tomlkit.table() if isinstance(indexes, tomlkit.items.AoT) else tomlkit.inline_table()
    for key, value in row.items():
        entry.append(key, value)
    indexes.append(entry)


def _indexes(table: Table) -> list[Table]:
    found = table.get("index", [])
    return [index for index in found if isinstance(index, MutableMapping)] if isinstance(found, list) else []


def _table(table: Table, key: str, *, sub: bool) -> Table:
    if key not in table:
        inline = isinstance(table, tomlkit.items.InlineTable)
        table[key] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=sub)
    found = table[key]
    if not isinstance(found, MutableMapping):
        raise ConfigError(f"{key} is no table there", hint="repair the file, then run the same command again")
    return found


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text.removeprefix("\ufeff"))
    except TOMLKitError as error:  # its text may quote the file, which may hold a password
        raise ConfigError(
            f"it is not TOML ({type(error).__name__}); it is left as it is",
            hint="repair or remove the file, then run the same command again",
        ) from None


def _text(document: tomlkit.TOMLDocument, before: str) -> str:
    written = tomlkit.dumps(document)
    if not written.endswith("\n"):
        written += "\n"
    if before.count("\r\n") > before.count("\n") / 2:
        written = written.replace("\r\n", "\n").replace("\n", "\r\n")
    return ("\ufeff" if before.startswith("\ufeff") else "") + written
