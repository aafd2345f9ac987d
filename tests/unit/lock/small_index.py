"""A package index on a loopback address that tells what PEP 691 and PEP 700 ask for."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from tests.fakes.mirror import make_wheel

LONG_AGO = "2024-01-01T00:00:00.000000Z"


@dataclass
class File:
    """One wheel of the index."""

    filename: str
    uploaded: str | None = LONG_AGO
    yanked: bool = False
    requires_python: str | None = None
    served: bytes | None = None  # these bytes instead of those that the page tells of
    data: bytes = b""  # a small wheel, unless given

    def __post_init__(self) -> None:
        name, version, _, _ = parse_wheel_filename(self.filename)
        self.data = self.data or make_wheel(name, str(version), seed=len(self.filename))[1]

    def row(self) -> dict[str, Any]:
        told = {
            "filename": self.filename,
            "url": f"../../files/{self.filename}",
            "hashes": {"sha256": hashlib.sha256(self.data).hexdigest()},
            "size": len(self.data),
            "yanked": self.yanked,
            "upload-time": self.uploaded,
            "requires-python": self.requires_python,
        }
        return {key: value for key, value in told.items() if value is not None}


class SmallIndex:
    """``with SmallIndex(File("demo-1.0-py3-none-any.whl")) as index: ... index.url``."""

    def __init__(self, *files: File, tls: Path | None = None) -> None:
        self.files = {file.filename: file for file in files}
        self.tls = tls  # certificate and key in one file; the address is then https
        self.fetched: list[str] = []
        self.logins: set[str] = set()  # that were sent along

    def __enter__(self) -> SmallIndex:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.index = self
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_port}/simple"


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for those who still answer
    index: SmallIndex

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up on what it did not ask for is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    timeout = 10.0  # seconds that a connection may say nothing
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests read ``fetched`` instead."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if login := self.headers.get("Authorization"):
            self.server.index.logins.add(base64.b64decode(login.removeprefix("Basic ")).decode())
        _, kind, name = self.path.rstrip("/").split("/")
        files = self.server.index.files
        if kind == "files" and name in files:
            if not self.headers.get("User-Agent", "").startswith("uv/"):  # which reads the metadata inside
                self.server.index.fetched.append(name)
            served = files[name].served
            self._answer(200, "application/octet-stream", files[name].data if served is None else served)
            return
        rows = [file.row() for file in files.values() if parse_wheel_filename(file.filename)[0] == name]
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": rows, "versions": []}
        self._answer(200 if rows else 404, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
