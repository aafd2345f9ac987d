"""A service with OSV's API on a loopback address; with a ``certificate`` it speaks TLS."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class FakeOsv:
    """``known``: (name, version) -> ids; ``records``: id -> record. Each page of an answer holds ``page`` ids."""

    known: Mapping[tuple[str, str], Sequence[str]]
    records: Mapping[str, Any]
    page: int = 2
    status: Mapping[str, int] = field(default_factory=dict)  # path -> what is answered instead
    body: Mapping[str, bytes] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)  # path -> where it is said to be
    certificate: Path | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> FakeOsv:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.osv = self  # type: ignore[attr-defined]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    def answer(self, query: Mapping[str, Any]) -> dict[str, Any]:
        ids = self.known.get((query["package"]["name"], query["version"]), ())
        start = int(query.get("page_token", 0))
        end = start + self.page
        more = {"next_page_token": str(end)} if end < len(ids) else {}
        return {"vulns": [{"id": name, "modified": ""} for name in ids[start:end]], **more} if ids else {}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        osv: FakeOsv = self.server.osv  # type: ignore[attr-defined]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send({"results": [osv.answer(query) for query in asked["queries"]]})

    def do_GET(self) -> None:
        osv: FakeOsv = self.server.osv  # type: ignore[attr-defined]
        self._send(osv.records.get(self.path.removeprefix("/v1/vulns/")))

    def _send(self, data: Any) -> None:
        osv: FakeOsv = self.server.osv  # type: ignore[attr-defined]
        osv.requests.append((self.path, dict(self.headers)))
        moved = osv.moved.get(self.path)
        body = osv.body.get(self.path, json.dumps(data).encode())
        self.send_response(osv.status.get(self.path, 307 if moved else 200 if data is not None else 404))
        if moved:
            self.send_header("Location", moved)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
