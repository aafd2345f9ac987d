"""A real mirror on a loopback address: a simple index over wheels in memory, with the faults that mirrors have.

with FakeMirror({"a-1.0-py3-none-any.whl": data}) as mirror:
    mirror.faults["a-1.0-py3-none-any.whl"] = Fault(status=403)
    ... mirror.url ...
assert mirror.requests[0].headers["User-Agent"].startswith("paddle-bootstrap/")
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import socket
import ssl
import threading
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from paddle_bootstrap.lock.model import Wheel
from tests.fakes.faults import Fault, Request

__all__ = ["FakeMirror", "Fault", "make_wheel"]


def make_wheel(name: str = "demo", version: str = "1.0", *, size: int = 2000, seed: int = 0) -> tuple[Wheel, bytes]:
    """A real wheel of at least ``size`` bytes that pip would install, and its row in a lock."""
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    filling = hashlib.shake_256(f"{filename}{seed}".encode()).digest(size)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in (
            (f"{name.replace('-', '_')}/filling.bin", filling),
            (f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()),
            (f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            (f"{info}/RECORD", b""),
        ):
            archive.writestr(zipfile.ZipInfo(path), data)
    data = buffer.getvalue()
    return Wheel(name, version, filename, len(data), hashlib.sha256(data).hexdigest()), data


@dataclass
class FakeMirror:
    """Serves ``/simple/PROJECT/``, ``/links.html``, ``/files/NAME`` and ``/tree/PROJECT/NAME``."""

    wheels: Mapping[str, bytes]
    form: Literal["json", "html"] = "html"
    ranges: bool = True
    etag: bool = True
    hashes: bool = True  # on the page
    login: tuple[str, str] | None = None  # basic authentication
    hidden: set[str] = field(default_factory=set)  # a stale page: the file is there, the page lacks it
    empty_pages: bool = False  # 200 and no links, for every project
    pages_silent: int = 0  # so many requests for a page are never answered
    page_status: list[int] = field(default_factory=list)  # answered, one after the other, before the page
    page_body: tuple[str, bytes] | None = None  # (content type, body) instead of the page
    files_at: str | None = None  # links lead to this address instead of our own
    chunked: bool = False
    tls: Path | None = None  # certificate and key in one file; the address is then https
    host: str = "127.0.0.1"
    proxy_login: tuple[str, str] | None = None  # asked of those who come through us as a proxy
    rate: float | None = None  # bytes per second of each answer with a file
    delay: float = 0.0  # seconds before the first byte of each answer with a file
    page_delay: float = 0.0  # the same, of a page
    most: int | None = None  # files that are served at once; one more gets ``too_many``
    too_many: Fault = field(default_factory=lambda: Fault(status=503))
    awake: threading.Event = field(default_factory=threading.Event)  # cleared: nothing is sent on any connection
    serving: int = 0  # files, at this moment
    busiest: int = 0  # the most at once
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> FakeMirror:
        self.awake.set()
        self._server = (_Server6 if ":" in self.host else _Server)((self.host, 0), _Handler)
        self._server.mirror = self
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for fault in self.faults.values():
            if fault.silent:
                fault.silent.set()
        self._server.closing.set()
        self.awake.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def root(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/simple"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def served(self, filename: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith("/" + quote(filename))]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    mirror: FakeMirror
    connections = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.number = self.server.connections

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests read ``requests`` instead."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        mirror = self.server.mirror
        path = self.path
        if path.startswith("http://"):  # asked as a proxy: answered from our own wheels, whatever the host
            path = "/" + path.split("/", 3)[3]
            if not self._may_pass():
                return
        mirror.requests.append(Request(self.path, dict(self.headers), self.number))
        if mirror.login and self.headers.get("Authorization") != _basic(mirror.login):
            self._send(401, b"who are you", {"WWW-Authenticate": "Basic"})
        elif match := re.fullmatch(r"/(?:.*/)?simple/([^/]+)/", path):
            self._page([name for name in mirror.wheels if _project(name) == match[1]])
        elif path == "/links.html":
            self._page(list(mirror.wheels))
        elif match := re.fullmatch(r"/(?:files|tree/[^/]+)/([^/?]+)(?:\?.*)?", path):
            self._file(unquote(match[1]))
        else:
            self._send(404, b"no")

    def do_CONNECT(self) -> None:
        """A proxy's tunnel."""
        self.server.mirror.requests.append(Request(f"CONNECT {self.path}", dict(self.headers), self.number))
        if not self._may_pass():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_relay, args=(far, self.connection), daemon=True)
            back.start()
            _relay(self.connection, far)
            back.join()
        self.close_connection = True

    def _may_pass(self) -> bool:
        wanted = self.server.mirror.proxy_login
        if wanted is None or self.headers.get("Proxy-Authorization") == _basic(wanted):
            return True
        self._send(407, b"who are you", {"Proxy-Authenticate": "Basic"})
        return False

    def _page(self, names: list[str]) -> None:
        mirror = self.server.mirror
        with self.server.lock:
            silent = mirror.pages_silent > 0
            mirror.pages_silent -= silent
        if silent:
            self.server.closing.wait()
            return None
        self.server.closing.wait(mirror.page_delay)
        if mirror.page_status:
            return self._send(mirror.page_status.pop(0), b"not now")
        if mirror.page_body:
            return self._send(200, mirror.page_body[1], {"Content-Type": mirror.page_body[0]})
        names = [name for name in names if name not in mirror.hidden]
        if not names and not mirror.empty_pages:
            return self._send(404, b"no such project")
        names = [] if mirror.empty_pages else names
        links = {name: f"{mirror.files_at or '../../files'}/{quote(name)}" for name in names}
        digests = {name: hashlib.sha256(mirror.wheels[name]).hexdigest() for name in names}
        if mirror.form == "json":
            files = [
                {"filename": name, "url": links[name], "hashes": {"sha256": digests[name]} if mirror.hashes else {}}
                for name in names
            ]
            body = json.dumps({"meta": {"api-version": "1.0"}, "name": "x", "files": files}).encode()
            return self._send(200, body, {"Content-Type": "application/vnd.pypi.simple.v1+json"})
        anchors = [
            f'<a href="{links[name]}{"#sha256=" + digests[name] if mirror.hashes else ""}" data-x="&gt;">{name}</a>'
            for name in names
        ]
        body = f"<!DOCTYPE html><html><body>{''.join(anchors)}</body></html>".encode()
        return self._send(200, body, {"Content-Type": "text/html; charset=utf-8"})

    def _fault(self, name: str) -> Fault:
        fault = self.server.mirror.faults.get(name)
        while fault and fault.times == 0:
            fault = fault.then
        if fault is None:
            return Fault()
        if fault.times:
            fault.times -= 1
        return fault

    def _file(self, name: str) -> None:
        mirror = self.server.mirror
        with self.server.lock:
            full = mirror.most is not None and mirror.serving >= mirror.most
            mirror.serving += not full
            mirror.busiest = max(mirror.busiest, mirror.serving)
        try:
            self._deliver(name, mirror.too_many if full else self._fault(name))
        finally:
            with self.server.lock:
                mirror.serving -= not full

    def _deliver(self, name: str, fault: Fault) -> None:
        mirror = self.server.mirror
        mirror.awake.wait()
        if fault.silent and fault.stall_after is None and fault.drip_after is None:
            fault.silent.wait()
        if fault.hang_up:
            self.close_connection = True
            return None
        if name not in mirror.wheels:
            return self._send(404, b"no such file")
        if fault.redirect:
            return self._send(302, b"", {"Location": fault.redirect})
        if fault.status:
            extra = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return self._send(fault.status, b"no", extra)
        data = mirror.wheels[name] if fault.body is None else fault.body
        if fault.flips:
            flipped = bytearray(data)
            for offset in fault.flips:
                flipped[offset] ^= 1
            data = bytes(flipped)
        if fault.wrong:
            data = data[:-1] + bytes([data[-1] ^ 1])
        tag = f'"{zlib.adler32(data[:4096] + data[-4096:]):x}"'
        headers = {"Content-Type": fault.content_type, **({"ETag": tag} if mirror.etag else {})}
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and mirror.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(wanted[1])
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            start += fault.range_shift
            status = 206
            end = min(int(wanted[2]) + 1, len(data)) if wanted[2] else len(data)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        else:
            end = len(data)
        return self._send(status, memoryview(data)[start:end], headers, fault)

    def _send(
        self, status: int, body: bytes | memoryview, headers: Mapping[str, str] = {}, fault: Fault | None = None
    ) -> None:
        if fault and self.server.mirror.delay:
            self.server.closing.wait(self.server.mirror.delay)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        chunked = self.server.mirror.chunked and fault is not None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        part = body if fault is None or fault.cut_after is None else body[: fault.cut_after]
        if fault and fault.stall_after is not None and fault.silent:
            for start in range(0, fault.stall_after, 1 << 16):
                self.wfile.write(part[start : min(start + (1 << 16), fault.stall_after)])
                fault.silent.wait(fault.pace)
            fault.silent.wait()
            part = b""
        if fault and fault.drip_after is not None and fault.silent:
            self.wfile.write(part[: fault.drip_after])
            for byte in part[fault.drip_after :]:
                if fault.silent.wait(0.02):
                    break
                self.wfile.write(bytes([byte]))
            part = b""
        if chunked:
            self.wfile.write(f"{len(part):x}\r\n".encode() + bytes(part) + b"\r\n" if part else b"")
            if len(part) == len(body):
                self.wfile.write(b"0\r\n\r\n")
        elif fault and self.server.mirror.rate:
            self._slowly(part)
        else:
            self.wfile.write(part)
        if len(part) < len(body):
            self.close_connection = True

    def _slowly(self, part: bytes | memoryview) -> None:
        done = 0
        while done < len(part):
            rate = self.server.mirror.rate or 1e9  # it may change meanwhile
            step = max(1, min(1 << 16, int(rate / 50)))
            self.server.mirror.awake.wait()
            self.wfile.write(part[done : done + step])
            done += step
            if self.server.closing.wait(step / rate):
                return


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _project(filename: str) -> str:
    return re.sub(r"[-_.]+", "-", filename.split("-")[0]).lower()


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()
