"""A server whose answers for the wheel are slow, cut, silent or wrong, as told; a process of its own.

python -m bench.faulty '{"host": ..., "port": ..., "site": ..., "counter": ..., "fault": {...}}'
The file ``counter`` holds how many bytes of wheels were sent, and how many of those were wrong, as COUNTER.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.scenarios import Fault

DRIP = 20_000  # bytes per second
CREDIT = 0.05  # seconds that a late wake-up may be made up for
COUNTER = struct.Struct("qq")
SEND_BUFFER = 256 * 1024  # bytes: what the kernel holds counts as sent, so it holds little


class Pace:
    """Lets so many bytes per second pass, without a burst at the start."""

    def __init__(self, rate: int | None) -> None:
        self.rate, self.due, self.lock = rate, time.monotonic(), threading.Lock()

    def wait(self, size: int) -> None:
        if self.rate is None:
            return
        with self.lock:
            self.due = max(self.due, time.monotonic() - CREDIT) + size / self.rate
            left = self.due - time.monotonic()
        if left > 0:
            time.sleep(left)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, told: dict[str, Any]) -> None:
        self.site = Path(told["site"])
        self.fault = Fault(**told["fault"])
        self.total, self.lock = Pace(self.fault.total), threading.Lock()
        self.connections = self.under_way = 0
        with Path(told["counter"]).open("r+b") as file:
            self.counter = mmap.mmap(file.fileno(), COUNTER.size)
        super().__init__((told["host"], told["port"]), Handler)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit it

    def count(self, size: int, wrong: int) -> None:
        with self.lock:
            sent, so_far = COUNTER.unpack(self.counter[:])
            self.counter[:] = COUNTER.pack(sent + size, so_far + wrong)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the measurement."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.pace = Pace(self.server.fault.rate)
        self.number: int | None = None  # among the connections that asked for the wheel

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The counter says enough."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.server.site / self.path.lstrip("/")
        if path.suffix == ".whl" and path.is_file():
            self._wheel(path)
        elif (page := path / "index.html").is_file():
            self._say(200, page.read_bytes())
        else:
            self._say(404)

    def _say(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _wheel(self, path: Path) -> None:
        server = self.server
        with server.lock:
            if self.number is None:
                server.connections += 1
                self.number = server.connections
            server.under_way += 1
            busy = server.fault.busy_above is None or server.under_way > server.fault.busy_above
        try:
            if server.fault.status and busy:
                self._say(server.fault.status)
            else:
                self._range(path)
        finally:
            with server.lock:
                server.under_way -= 1

    def _range(self, path: Path) -> None:
        size, fault = path.stat().st_size, self.server.fault
        tag = f'"{size:x}"'
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")) if fault.ranges else None
        start, end = 0, size
        if wanted and any(wanted.groups()) and self.headers.get("If-Range", tag) == tag:
            first, last = wanted.groups()
            start = int(first) if first else max(size - int(last), 0)
            end = min(int(last) + 1, size) if first and last else size
            if start >= size:
                return self._say(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        else:
            self.send_response(200)
        if fault.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        time.sleep(fault.delay)
        self.end_headers()
        if self.command == "GET":
            with path.open("rb") as file:
                self._body(file.fileno(), start, end)
        return None

    def _body(self, file: int, start: int, end: int) -> None:
        fault = self.server.fault
        struck = self.number is not None and (self.number - 1) % fault.every == 0
        cuts = (fault.cut_after, fault.stall_after) if struck else ()
        stops = [start + after for after in cuts if after is not None]
        if fault.ends_at is not None:
            stops.append(max(start, fault.ends_at))
        stop = min([end, *stops])
        drip = start + fault.drip_after if struck and fault.drip_after is not None else stop
        self._send(file, start, min(drip, stop), self.pace)
        self._send(file, min(drip, stop), stop, Pace(DRIP))
        if stop < end:
            self.close_connection = True
            if fault.stall_after is not None:
                with contextlib.suppress(OSError):
                    self.connection.recv(1)  # until the client gives up

    def _send(self, file: int, start: int, end: int, pace: Pace) -> None:
        rates = [rate for rate in (pace.rate, self.server.total.rate) if rate]
        step = max(4096, min(512 * 1024, *[rate // 50 for rate in rates])) if rates else 512 * 1024
        for at in range(start, end, step):
            size = min(step, end - at)
            pace.wait(size)
            self.server.total.wait(size)
            data = bytearray(os.pread(file, size, at))
            flips = [flip - at for flip in self.server.fault.flips if at <= flip < at + size]
            for place in flips:
                data[place] ^= 1
            self.connection.sendall(data)
            self.server.count(size, len(flips))


if __name__ == "__main__":
    with Server(json.loads(sys.argv[1])) as server:
        server.serve_forever()
