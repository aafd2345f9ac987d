"""A mirror of interpreters: an archive of a real Python as python-build-standalone makes them, and uv's list that names it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from paddle_bootstrap.host.interpreter import Interpreter

RELEASE = "https://github.com/astral-sh/python-build-standalone/releases/download"  # what uv replaces by the mirror
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "tkinter",
    "site-packages",
    "__pycache__",
    "pydoc_data",
}


def archive(python: Interpreter) -> bytes:
    """``python/bin`` and ``python/lib``: CPython looks beside itself for its library, so it runs anywhere on this host."""
    lib = Path(python.base_prefix, "lib", f"python{python.minor}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(os.path.realpath(python.path), f"python/bin/python{python.minor}")
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{python.minor}"
            tar.addfile(link)
        tar.add(lib, f"python/lib/python{python.minor}", filter=_lean)
    return buffer.getvalue()


def _lean(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(item.name).parts
    return None if _LEFT_OUT & set(parts) or (parts[3:4] and parts[3].startswith("config-")) else item


class StandaloneMirror:
    """Serves ``data`` as the CPython ``version``; ``listing`` is uv's own list with that one row."""

    def __init__(self, root: Path, version: str, data: bytes) -> None:
        self.root, self.version = root, version
        self.name = f"cpython-{version}+20260101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
        self.file = root / "20260101" / self.name
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(data)
        self.listing = root.parent / "interpreters.json"
        self.listing.write_text(json.dumps(self._row(hashlib.sha256(data).hexdigest())))
        self.asked: list[str] = []
        self.url = ""

    def _row(self, digest: str) -> dict[str, object]:
        major, minor, patch = map(int, self.version.split("."))
        row = {"name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu"}
        row |= {"major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "20260101"}
        url = f"{RELEASE}/20260101/{self.name.replace('+', '%2B')}"
        return {f"cpython-{self.version}-linux-x86_64-gnu": {**row, "url": url, "sha256": digest}}

    @contextmanager
    def serving(self) -> Iterator[StandaloneMirror]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, asked=self.asked, directory=str(self.root)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, asked: list[str], **more: object) -> None:
        self.asked = asked
        super().__init__(*args, **more)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass
