"""Which login goes to which host: what belongs to one address is never sent to another."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.mirrors.credentials import Login, from_keyring, from_netrc, named_by
from paddle_bootstrap.mirrors.model import Mirror

Origin = tuple[str, str, int]  # scheme, host, port: what credentials belong to


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class Logins:
    """The credentials of one mirror, learned once for all its connections."""

    def __init__(self, mirror: Mirror, environ: Mapping[str, str]) -> None:
        self._mirror = mirror
        self._environ = environ
        self._home = origin_of(mirror.url)
        self._lock = threading.Lock()
        self._known: dict[Origin, Login | None] = {}
        self._missing = ""  # what keeps the mirror's own login from being known
        self._asked: dict[Origin, Login | None] = {}

    def of(self, origin: Origin, login: Login | None) -> Login | None:
        """What to send to ``origin``; ``login`` stood in a link that leads there, and the mirror's own address outranks it."""
        with self._lock:
            if origin == self._home and origin not in self._known:
                self._known[origin] = self._own()  # not before it is asked for: a keyring may ask its user
            if login and origin != self._home:
                self._known.setdefault(origin, login)
            return self._known.get(origin)

    def after_refusal(self, origin: Origin) -> Login | None:
        """After a 401: the keyring for the mirror itself; for another host only what netrc says of it by name."""
        with self._lock:
            if origin not in self._asked:
                known = self._known.get(origin)
                if origin != self._home:
                    found = from_netrc(origin[1], self._environ, default=False)
                elif self._mirror.auth:
                    found = None
                else:
                    found = from_keyring(self._mirror.url, known.user if known else None, self._environ)
                self._asked[origin] = found
                self._known[origin] = found or known
            return self._asked[origin]

    def _own(self) -> Login | None:
        given = self._mirror.login
        if self._mirror.auth:
            return self._named(given.user if given else None)
        host = urlsplit(self._mirror.url).hostname
        if host is None or (given and given.complete):
            return given
        found = from_netrc(host, self._environ, default=True)
        return found if found and (given is None or given.user == found.user) else given

    def _named(self, user: str | None) -> Login:
        if not self._missing:
            try:
                return named_by(self._mirror.auth, self._mirror.url, user, self._environ)
            except UsageError as error:
                self._missing = str(error)
        raise MirrorFailure("unreachable", f"it wants a login: {self._missing}")
