"""HTTP to one mirror: kept connections, redirects, credentials, proxies and certificates. Everything that goes wrong
becomes a MirrorFailure in our own words, since a server's words may repeat a secret.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urljoin, urlsplit

from paddle_bootstrap import __version__
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.logins import Logins, Origin, origin_of
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.proxies import proxy_for
from paddle_bootstrap.fetch.speaking import speaking
from paddle_bootstrap.fetch.trust import checked, is_named, unchecked
from paddle_bootstrap.mirrors.credentials import Login, split
from paddle_bootstrap.mirrors.model import Mirror

AGENT = f"paddle-bootstrap/{__version__} (+https://github.com/paddle-bootstrap/paddle-bootstrap)"
REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_CHAIN = 10
_DRAINED = 64 * 1024  # bytes of an unwanted body that are read to keep the connection
_SAFE = "%/:=&?~#+!$,;'@()*[]"


class Answer:
    """A response whose body is read straight into the caller's memory."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, url: str) -> None:
        self.status = response.status
        self.headers = response.headers
        self.url = url  # after redirects; may hold a signature
        self.cut = False  # the body ended before its announced length
        self._connection = connection
        self._response = response
        self._left = None if response.chunked else response.length  # None: not announced
        self.heard: Callable[[], None] = lambda: None  # called when something has come

    def read_into(self, memory: memoryview) -> int:
        """One read of the socket, 0 at the end of the body. Raises MirrorFailure when the connection breaks."""
        if self._left is not None:
            if not self._left:
                return 0
            with speaking():
                count = self._response.fp.readinto1(memory[: self._left])
            self._left -= count
            self.cut = count == 0
            return count
        try:
            with speaking():
                data = self._response.read1(len(memory))
        except MirrorFailure:
            self.cut = True
            raise
        memory[: len(data)] = data
        return len(data)

    def read(self, limit: int, patience: Patience) -> bytes:
        """The whole body. Raises MirrorFailure when it is cut, longer than ``limit``, or as slow as silence."""
        data, memory, began = bytearray(), memoryview(bytearray(1 << 16)), time.monotonic()
        while count := self.read_into(memory):
            self.heard()
            data += memory[:count]
            if len(data) > limit:
                raise MirrorFailure("refused", f"its answer is longer than {limit >> 20} MiB")
            seconds = time.monotonic() - began
            if seconds > patience.read and len(data) < patience.floor * seconds:
                raise MirrorFailure("broken", f"of its answer {len(data)} bytes came in {seconds:.0f} s", retry=True)
        if self.cut:
            raise MirrorFailure("broken", "its answer was cut", retry=True)
        return bytes(data)

    def close(self) -> None:
        """Keep the connection when the body was read to its end or almost, else end it."""
        try:
            if self._left is not None and self._left <= _DRAINED and not self.cut:
                memory = memoryview(bytearray(_DRAINED))
                while self.read_into(memory):
                    pass
        except MirrorFailure:
            self.cut = True
        unread = self._left != 0 and not self._response.isclosed()
        self._response.close()
        if unread or self.cut or self._response.will_close:
            self._connection.close()


class Web:
    """Requests on behalf of one mirror, one at a time; connections are kept."""

    def __init__(
        self,
        mirror: Mirror,
        environ: Mapping[str, str],
        patience: Patience,
        logins: Logins,
        trusted: Sequence[str] = (),
    ) -> None:
        self.mirror = mirror
        self.environ = environ
        self.patience = patience
        self.logins = logins
        self.trusted = trusted
        self._connections: dict[object, http.client.HTTPConnection] = {}
        self._context: ssl.SSLContext | None = None
        self.heard = 0.0  # monotonic: when the last answer, or part of a page, came
        self.connecting = False
        self.given_up = False

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer after redirects, whatever its status but 401; its ``close`` must be called."""
        for _ in range(_LONGEST_CHAIN):
            answer = self._authorised(url, headers)
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            url = _redirected(answer.url, answer.headers.get("Location"))
        raise MirrorFailure("refused", "it redirects without end")

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to ``body``, which goes to ``url`` and nowhere else."""
        answer = self._authorised(url, headers, body)
        if answer.status in REDIRECTS:
            answer.close()
            raise MirrorFailure("refused", "it redirects what it was sent")
        return answer

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def abort(self) -> None:
        """End for ever what another thread waits for: its read fails at once.

        Not ``connection.sock.shutdown``: an SSLSocket would drop its TLS state, and what is read after that is cipher text.
        """
        self.given_up = True
        for connection in list(self._connections.values()):
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):  # closed meanwhile
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _authorised(self, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        url, login = _bare(url)
        origin = origin_of(url)
        if origin[0] == "https" and is_named(origin[1], origin[2], self.trusted):
            if login:
                raise MirrorFailure("refused", "it leads to an address with credentials on a host of --trusted-host")
            if self.mirror.auth and origin == origin_of(self.mirror.url):
                raise MirrorFailure("unreachable", "it wants a login, and a host of --trusted-host gets none")
            return self._ask(url, headers, body, None)
        sent = self.logins.of(origin, login)
        answer = self._ask(url, headers, body, sent)
        if answer.status == 401 and (found := self.logins.after_refusal(origin)) and found != sent:
            answer.close()
            answer = self._ask(url, headers, body, found)
        return answer

    def _ask(self, url: str, headers: Mapping[str, str], body: bytes | None, login: Login | None) -> Answer:
        proxy = proxy_for(url, self.mirror, self.environ)
        parts = urlsplit(url)
        target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
        sent = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        if login:
            sent["Authorization"] = login.header()
        if proxy and parts.scheme == "http":
            target = f"http://{parts.netloc}{target}"
            if proxy[2]:
                sent["Proxy-Authorization"] = proxy[2].header()
        key = (origin_of(url), proxy)
        while True:
            if self.given_up:
                raise MirrorFailure("broken", "it was given up", retry=True)
            connection, fresh = self._connections.get(key), False
            if connection is None or connection.sock is None:
                connection, fresh = self._connect(origin_of(url), proxy), True
                self._connections[key] = connection
                if self.given_up:  # meanwhile: whoever did that did not see this connection
                    connection.close()
                    raise MirrorFailure("broken", "it was given up", retry=True)
            try:
                with speaking():
                    connection.request("GET" if body is None else "POST", target, body, sent)
                    answer = Answer(connection, connection.getresponse(), url)
                answer.heard = self._hear
                self._hear()
                return answer
            except MirrorFailure:
                connection.close()
                if fresh:  # an old connection may have been closed while nobody looked
                    raise

    def _context_for(self, host: str, port: int) -> ssl.SSLContext:
        if is_named(host, port, self.trusted):
            return unchecked()
        if self._context is None:
            self._context = checked(self.mirror, self.environ)
        return self._context

    def _hear(self) -> None:
        self.heard = time.monotonic()

    def _connect(self, origin: Origin, proxy: tuple[str, int, Login | None] | None) -> http.client.HTTPConnection:
        scheme, host, port = origin
        place = (proxy[0], proxy[1]) if proxy else (host, port)
        connection: http.client.HTTPConnection
        if scheme == "https":
            context = self._context_for(host, port)
            connection = http.client.HTTPSConnection(*place, timeout=self.patience.connect, context=context)
            if proxy:
                login = {"Proxy-Authorization": proxy[2].header()} if proxy[2] else {}
                connection.set_tunnel(host, port, headers={"User-Agent": AGENT, **login})
        else:
            connection = http.client.HTTPConnection(*place, timeout=self.patience.connect)
        self.connecting = True
        try:
            with speaking("proxy" if proxy else "connection"):
                connection.connect()
        except MirrorFailure:
            connection.close()
            raise
        finally:
            self.connecting = False
        connection.sock.settimeout(self.patience.read)
        return connection


def _bare(url: str) -> tuple[str, Login | None]:
    try:
        bare, login = split(url)
    except UsageError as error:
        raise MirrorFailure("refused", "it names an address that cannot be read") from error
    if urlsplit(bare).scheme not in ("http", "https"):
        raise MirrorFailure("refused", "it leads to an address that is not on the web")
    return bare, login


def _redirected(url: str, location: str | None) -> str:
    if not location:
        raise MirrorFailure("refused", "it redirects to nowhere")
    try:
        target = urljoin(url, location)
        downgrade = urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
    except ValueError as error:
        raise MirrorFailure("refused", "it redirects to an address that cannot be read") from error
    if downgrade:
        raise MirrorFailure("refused", "it redirects from https to an address without encryption")
    return _bare(target)[0]
