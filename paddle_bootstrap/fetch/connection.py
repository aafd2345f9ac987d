"""HTTP to mirrors, from the standard library: kept alive per host, through proxies, with credentials that never leave their host."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urljoin, urlsplit

from paddle_bootstrap import __version__
from paddle_bootstrap.mirrors.credentials import from_keyring, from_netrc
from paddle_bootstrap.mirrors.model import Credentials, Mirror
from paddle_bootstrap.mirrors.redact import redact, split_credentials

USER_AGENT = f"paddle-bootstrap/{__version__} (+https://github.com/paddle-bootstrap/paddle-bootstrap)"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0  # of silence
REDIRECTS = 5


class Refused(Exception):
    """A mirror that did not do what was asked, in words that hold no secret."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


@dataclass
class Session:
    """Connections to one mirror and the hosts that it links to."""

    mirror: Mirror
    environ: Mapping[str, str]
    _open: dict[tuple[str, str], http.client.HTTPConnection] = field(default_factory=dict)
    _keyring: Credentials | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[http.client.HTTPResponse, str]:
        """The response to GET ``url``, redirects followed, and its final address. Raises Refused."""
        for _ in range(REDIRECTS):
            response = self._answered(url, headers or {})
            if response.status not in (301, 302, 303, 307, 308):
                return response, url
            target = urljoin(url, response.headers.get("Location", ""))
            response.read()
            if url.startswith("https:") and not target.startswith("https:"):
                raise Refused(f"{redact(url)} redirects from https to {redact(target)}")
            url = split_credentials(target)[0]
        raise Refused(f"more than {REDIRECTS} redirects")

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def drop(self, url: str) -> None:
        """Forget the connection behind ``url``: its body was not read to the end."""
        parts = urlsplit(url)
        if connection := self._open.pop((parts.scheme, parts.netloc), None):
            connection.close()

    def _answered(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        response = self._sent(url, headers, self._credentials(url))
        if response.status == 401 and self._keyring is None and self._own_host(url):
            response.read()
            self._keyring = from_keyring(self.mirror.url, self.environ)
            if self._keyring:
                response = self._sent(url, headers, self._keyring)
        return response

    def _own_host(self, url: str) -> bool:
        own, other = urlsplit(self.mirror.url), urlsplit(url)
        return (own.scheme, own.netloc) == (other.scheme, other.netloc)

    def _credentials(self, url: str) -> Credentials | None:
        """The mirror's own credentials go to its own host alone; netrc says itself which host it means."""
        if self._own_host(url):
            return self.mirror.credentials or self._keyring or from_netrc(url, self.environ)
        return from_netrc(url, self.environ)

    def _sent(self, url: str, headers: Mapping[str, str], credentials: Credentials | None) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if credentials:
            sent["Authorization"] = _basic(credentials)
        key = (parts.scheme, parts.netloc)
        reused = key in self._open
        try:
            return self._once(url, sent)
        except (OSError, http.client.HTTPException) as error:
            self.drop(url)
            if not reused:
                raise Refused(_told(error)) from error
        try:  # a kept connection may have been closed by the server since
            return self._once(url, sent)
        except (OSError, http.client.HTTPException) as error:
            self.drop(url)
            raise Refused(_told(error)) from error

    def _once(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        connection = self._open.get((parts.scheme, parts.netloc))
        if connection is None:
            connection = self._open[parts.scheme, parts.netloc] = self._connected(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        proxy = self._proxy(url)
        if proxy and parts.scheme == "http":
            path = url
            if found := split_credentials(proxy)[1]:
                headers["Proxy-Authorization"] = _basic(found)
        connection.request("GET", path, headers=headers)
        return connection.getresponse()

    def _connected(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        proxy, credentials = split_credentials(self._proxy(url) or "")
        to = urlsplit(proxy if "://" in proxy or not proxy else f"http://{proxy}") if proxy else parts
        host = to.hostname
        if host is None:
            raise Refused(f"no host in {redact(url)}")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, to.port, timeout=CONNECT_SECONDS, context=self._context)
            if proxy:
                headers = {"Proxy-Authorization": _basic(credentials)} if credentials else {}
                connection.set_tunnel(parts.hostname or "", parts.port, headers=headers)
        else:
            connection = http.client.HTTPConnection(host, to.port, timeout=CONNECT_SECONDS)
        connection.connect()
        connection.sock.settimeout(READ_SECONDS)
        return connection

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        known = {name.lower(): value for name, value in self.environ.items() if name.lower().endswith("_proxy")}
        proxies = {name.removesuffix("_proxy"): value for name, value in known.items()}
        if urllib.request.proxy_bypass_environment(parts.hostname or "", proxies):  # type: ignore[attr-defined]
            return None
        return self.mirror.proxy or proxies.get(parts.scheme) or proxies.get("all")

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.mirror.certificate:
            try:
                context.load_verify_locations(self.mirror.certificate)
            except (OSError, ssl.SSLError) as error:
                raise Refused(f"certificate bundle {self.mirror.certificate}: {_told(error)}") from error
        return context


def _basic(credentials: Credentials) -> str:
    token = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
    return f"Basic {token}"


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "silent for too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    return redact(f"{getattr(error, 'strerror', None) or str(error) or type(error).__name__}")
