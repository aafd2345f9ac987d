"""What a mirror is, as data. Credentials are apart from the address, so that an address can always be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

Kind = Literal["simple", "find-links", "direct"]


@dataclass(frozen=True)
class Credentials:
    """A user name and a password that no representation shows."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class Mirror:
    """One place that may serve a lock's files."""

    name: str
    url: str  # no credentials in it; may hold "{build}"
    kind: Kind = "simple"
    note: str = ""
    source: str = ""
    certificate: str | None = None  # a CA bundle to trust besides the system's
    proxy: str | None = field(default=None, repr=False)  # may hold credentials
    credentials: Credentials | None = field(default=None, repr=False)

    def folder(self, build: str | None) -> str | None:
        """Its address for the build's folder; None when the address needs one and there is none."""
        if "{build}" not in self.url:
            return self.url.rstrip("/")
        return self.url.replace("{build}", quote(build)).rstrip("/") if build else None
