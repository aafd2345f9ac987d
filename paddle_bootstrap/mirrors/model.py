"""A mirror, as data: only transport, so it needs no trust; but a few are origins, which say what a lock shall hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from paddle_bootstrap.mirrors.credentials import Login, split
from paddle_bootstrap.mirrors.redact import redact

BUILD = "{build}"  # in an address: the place of the build's folder, since one file name stands in every such folder
CONNECTIONS = 16  # what a mirror that is not known to be public may be asked for at once

Kind = Literal[
    "simple",  # PEP 503 or 691: one page per project below the address
    "find-links",  # one page, or one local folder, that lists files of all projects
    "files",  # no page at all: ADDRESS/PROJECT/FILE
]

Holds = Literal[
    "pypi",  # every package: it can stand as the index of pip and uv
    "paddle",  # Paddle's own wheels alone
    "python",  # uv's interpreters; no wheels, so it is never asked for one
]


@dataclass(frozen=True)
class Mirror:
    """One place to fetch from. ``url`` and ``proxy`` hold no credentials: those are in fields that cannot be shown."""

    name: str
    url: str
    kind: Kind = "simple"
    note: str = ""
    source: str = ""  # where the address is from
    holds: Holds = "pypi"
    connections: int = CONNECTIONS  # at once, at most
    priority: int = 0  # lower ones are asked first, whatever was measured
    origin: bool = False  # composing a lock, its word on digests is believed; only ever over verified TLS
    auth: str = ""  # where its login is: env:VARIABLE, netrc, keyring; empty: in the address, netrc, then the keyring
    certificate: str | None = None  # file or folder of certificates that replaces the default ones
    proxy: str | None = None
    _login: Login | None = field(default=None, repr=False)
    _proxy_login: Login | None = field(default=None, repr=False)

    @property
    def folder_per_build(self) -> bool:
        return BUILD in self.url

    @property
    def redacted(self) -> str:
        """Name and address, fit for anybody's eyes."""
        address = redact(self.url)
        return address if self.name in address else f"{self.name} ({address})"

    @property
    def login(self) -> Login | None:
        """The credentials that stood in its address."""
        return self._login

    @property
    def proxy_login(self) -> Login | None:
        return self._proxy_login

    def for_build(self, folder: str | None) -> Mirror | None:
        """This mirror with the build's folder in its address; None when it needs one and there is none."""
        if not self.folder_per_build:
            return self
        return replace(self, url=self.url.replace(BUILD, folder)) if folder else None


def mirror_at(
    url: str,
    *,
    name: str = "",
    kind: Kind = "simple",
    note: str = "",
    source: str = "",
    certificate: str | None = None,
    proxy: str | None = None,
    holds: Holds = "pypi",
    connections: int = CONNECTIONS,
    priority: int = 0,
    origin: bool = False,
    auth: str = "",
) -> Mirror:
    """The mirror at ``url``, its credentials where nobody sees them. Raises UsageError for a bad address."""
    bare, login = split(url.strip())
    bare_proxy, proxy_login = split(proxy if "://" in proxy else f"http://{proxy}") if proxy else (None, None)
    return Mirror(
        name=name or _short(bare),
        url=bare,
        kind=kind,
        note=note,
        source=source,
        holds=holds,
        connections=connections,
        priority=priority,
        origin=origin,
        auth=auth,
        certificate=certificate,
        proxy=bare_proxy,
        _login=login,
        _proxy_login=proxy_login,
    )


def identity(url: str) -> str:
    """What two addresses of one mirror share: the host's case, a default port and the last slash do not count."""
    parts = urlsplit(url)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    host = parts.netloc.lower().removesuffix(default) if default else parts.netloc.lower()
    return urlunsplit(SplitResult(parts.scheme, host, parts.path.rstrip("/"), parts.query, ""))


def _short(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc or parts.path
