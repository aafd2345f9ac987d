"""Paddle's wheel index, rebuilt on loopback from what is known of it (facts of 2025 and 2026):

- an index host whose pages link to another host, with absolute addresses, no digest, no size, no metadata
- a project that it does not know is a page without links, status 200
- a CDN and its origin with the same paths, ``/stable/FOLDER/PROJECT/FILE``: ranges, no ETag; one name in every folder
- cells that are missing, a CPU wheel in the GPU folder, a file that is 200 with nothing in it

with PaddleIndex({"cu126": {"paddlepaddle_gpu-3.3.1-...whl": data}}, certificate) as paddle:
    settings.write_text(paddle.settings(authority))
"""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Folders = dict[str, dict[str, bytes]]


@dataclass
class Host:
    """One of the three: ``files`` is what it serves, by path; what it was asked is in ``asked``."""

    name: str
    folders: Folders
    pages_lead_to: Host | None = None  # the index: where its links lead
    leads: str = ""  # the index: another place than that host
    empty: set[str] = field(default_factory=set)  # file names answered with 200 and nothing
    redirects: dict[str, str] = field(default_factory=dict)  # file name -> where to
    cut: dict[str, int] = field(default_factory=dict)  # file name -> bytes of its first long answer
    down: bool = False  # it answers 404, to everything
    down_after_cut: bool = False
    ranges: bool = True  # else it answers with the whole file, whatever was asked for
    deaf_after_cut: bool = False  # to ranges
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, Range

    @contextlib.contextmanager
    def serving(self, certificate: Path) -> Iterator[None]:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.host = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @property
    def root(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def sent(self, filename: str) -> list[tuple[str, str]]:
        return [(path, wanted) for path, wanted in self.asked if path.endswith("/" + filename)]


class PaddleIndex:
    """The index, the CDN that its pages lead to, and the CDN's origin."""

    def __init__(self, folders: Mapping[str, Mapping[str, bytes]], certificate: Path) -> None:
        files: Folders = {folder: dict(names) for folder, names in folders.items()}
        self.certificate = certificate
        self.cdn = Host("paddle-cdn", files)
        self.origin = Host("paddle-bj", {folder: dict(names) for folder, names in files.items()})
        self.index = Host("paddle", files, pages_lead_to=self.cdn)

    def __enter__(self) -> PaddleIndex:
        self._stack = contextlib.ExitStack()
        for host in (self.index, self.cdn, self.origin):
            self._stack.enter_context(host.serving(self.certificate))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(self, authority: Path, *, origin: bool = True) -> str:
        """The [[mirror]] tables that put these hosts in the place of Paddle's own; ``authority`` issued their certificate."""
        addresses = {
            "paddle": f"{self.index.root}/packages/stable/{{build}}/",
            "paddle-cdn": f"{self.cdn.root}/stable/{{build}}/",
            "paddle-bj": f"{self.origin.root}/stable/{{build}}/",
        }
        return "".join(table(name, url, authority, origin=origin) for name, url in addresses.items())


def table(name: str, url: str, certificate: Path, *, origin: bool = True) -> str:
    """One [[mirror]] table of paddle-bootstrap.toml."""
    said = "origin = true\n" if origin else ""
    return f'[[mirror]]\nname = "{name}"\nurl = "{url}"\nca = "{certificate}"\n{said}\n'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host: Host

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not believe our certificate is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests read ``asked`` instead."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        host = self.server.host
        host.asked.append((self.path, self.headers.get("Range", "")))
        if host.down:
            return self._send(404, b"")
        page = re.fullmatch(r"/packages/stable/([^/]+)/([^/]+)/", self.path)
        file = re.fullmatch(r"/stable/([^/]+)/([^/]+)/([^/]+)", self.path)
        if page and host.pages_lead_to:
            return self._page(*page.groups())
        if file and not host.pages_lead_to:
            return self._file(*file.groups())
        return self._send(404, b"")

    def _page(self, folder: str, project: str) -> None:
        """Whatever lies in the project's folder, a CPU wheel that somebody put there too; for an unknown name nothing."""
        leads, host = self.server.host.pages_lead_to, self.server.host
        assert leads is not None
        names = host.folders.get(folder, {}) if project in ("paddlepaddle-gpu", "paddlepaddle") else {}
        links = "".join(
            f'<a href="{host.leads or leads.root}/stable/{folder}/{project}/{name}">{name}</a><br/>\n'
            for name in sorted(names)
        )
        body = f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>"
        self._send(200, body.encode(), {"Content-Type": "text/html"})

    def _file(self, folder: str, _project: str, name: str) -> None:
        host = self.server.host
        if name in host.redirects:
            return self._send(302, b"", {"Location": host.redirects[name]})
        if name in host.empty:
            return self._send(200, b"", {"Content-Type": "text/html"})
        data = host.folders.get(folder, {}).get(name)
        if data is None:
            return self._send(404, b"")
        start, end, status, headers = 0, len(data), 200, {"Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and host.ranges:
            start, status = int(wanted[1]), 206
            end = min(int(wanted[2]) + 1, len(data)) if wanted[2] else len(data)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return self._send(status, memoryview(data)[start:end], headers, cut=host.cut.get(name))

    def _send(
        self,
        status: int,
        body: bytes | memoryview,
        headers: Mapping[str, str] = {},
        *,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut is not None and len(body) > cut:
            body, self.close_connection = body[:cut], True
            self.server.host.cut.clear()
            self.server.host.down = self.server.host.down_after_cut
            self.server.host.ranges = not self.server.host.deaf_after_cut
        if self.command == "GET":
            self.wfile.write(body)
