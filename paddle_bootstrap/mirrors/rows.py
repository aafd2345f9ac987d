"""The rows of mirrors.toml, and what a user's ``[[mirror]]`` tables add to them or change in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError, UsageError
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.mirrors.model import CONNECTIONS, Holds, Kind, Mirror, mirror_at

TABLE = Path(__file__).with_name("mirrors.toml")
OFFICIAL = "official"
OWN = "[[mirror]] in paddle-bootstrap.toml"
Table = Mapping[str, Any]

# key -> its type, or the words it can be: what a [[mirror]] of paddle-bootstrap.toml may say
KEYS: Mapping[str, type | tuple[str, ...]] = {
    "name": str,
    "url": str,
    "kind": get_args(Kind),
    "holds": get_args(Holds),
    "connections": int,
    "priority": int,
    "ca": str,
    "origin": bool,
    "auth": str,
}


def shipped_names() -> frozenset[str]:
    """Tables of these names need no address of their own."""
    return frozenset(row["name"] for row in toml.read(TABLE)["mirror"])


def rows(tables: Sequence[Table] = ()) -> tuple[Mirror, ...]:
    """The user's ``tables`` that add a mirror, then the shipped rows, each with what a table of its name changes.

    A lower ``priority`` comes first. The official index is left out, with a warning, when its address cannot be learned.
    Raises ConfigError for a table without an address, or with a bad one.
    """
    shipped = {row["name"]: row for row in toml.read(TABLE)["mirror"]}
    own = [table for table in tables if table["name"] not in shipped]
    changed = {table["name"]: table for table in tables}
    merged = [*own, *(_changed(row, changed.get(name, {})) for name, row in shipped.items())]
    found = [mirror for mirror in map(_mirror, merged) if mirror is not None]
    return tuple(sorted(found, key=lambda mirror: mirror.priority))


def _changed(row: Table, table: Table) -> Table:
    """What is told, and believed, of a row whose address is the user's must not be the shipped one's."""
    return {**row, **({"note": OWN, "source": OWN, "origin": False} if "url" in table else {}), **table}


def _mirror(row: Table) -> Mirror | None:
    if "url" not in row:
        raise ConfigError(f"[[mirror]] {row['name']!r} has no url", hint='add: url = "https://HOST/simple"')
    url = official.address() if row["url"] == OFFICIAL else row["url"]
    if url is None:
        return None
    if row.get("origin") and not url.startswith("https://"):
        hint = "a lock believes what an origin says of digests: give its https address, and its certificate with ca"
        raise ConfigError(f"[[mirror]] {row['name']!r} is an origin without https", hint=hint)
    try:
        return mirror_at(
            url,
            name=row["name"],
            kind=cast(Kind, row.get("kind", "simple")),
            note=row.get("note", OWN),
            source=row.get("source", OWN),
            certificate=row.get("ca"),
            holds=cast(Holds, row.get("holds", "pypi")),
            connections=row.get("connections", CONNECTIONS),
            priority=row.get("priority", 0),
            origin=row.get("origin", False),
            auth=row.get("auth", ""),
        )
    except UsageError as error:
        raise ConfigError(f"[[mirror]] {row['name']!r}: {error}", hint=error.hint) from error
