"""Findings that somebody has decided to live with, until a day: ``[[audit.exception]]`` in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError

KEYS = ("id", "package", "reason", "expires")


@dataclass(frozen=True)
class Exempt:
    """``expires`` is the last day on which it counts."""

    id: str
    package: str  # normalised
    reason: str
    expires: date

    def covers(self, package: str, names: frozenset[str]) -> bool:
        return self.package == package and self.id in names


def from_table(table: Any, where: str) -> Exempt:
    """One table. Raises ConfigError: an exception without reason or end is none."""
    from packaging.utils import canonicalize_name  # settings are read by every verb, exceptions are rare

    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: [[audit.exception]] must be tables")
    known = {**table}
    wrong = [key for key in known if key not in KEYS] + [key for key in KEYS if not known.get(key)]
    if wrong:
        raise ConfigError(
            f"{where}: [[audit.exception]] {known.get('id', '')}: {wrong[0]} is {'unknown' if wrong[0] in known else 'missing'}",
            hint=f"it has {', '.join(KEYS)}",
        )
    try:
        expires = toml.day(known["expires"])
    except ValueError as error:
        hint = "write a day: expires = 2027-01-31"
        raise ConfigError(f"{where}: [[audit.exception]] {known['id']}: expires: {error}", hint=hint) from error
    texts = [known[key] for key in KEYS[:3]]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{where}: [[audit.exception]]: {', '.join(KEYS[:3])} must be strings")
    return Exempt(texts[0], canonicalize_name(texts[1]), texts[2], expires)
