"""Answers that no mirror should give: each is named as what it is, costs little, and the next mirror is asked."""

from __future__ import annotations

import gzip
import re
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import Bring

WHEEL, DATA = make_wheel(size=300_000)
NAME = WHEEL.filename
PAGE = f'<a href="/files/{NAME}">{NAME}</a>'.encode()
Script = Callable[[str, socket.socket, threading.Event], None]  # path, the connection, the end of the test


@contextmanager
def answering(script: Script) -> Iterator[str]:
    """A server that says what ``script`` sends, byte for byte; yields its index."""
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                head += line
            found = re.match(rb"GET (\S+)", head)
            try:
                script(found[1].decode() if found else "", self.connection, over)
            except OSError:
                """The client has heard enough."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Connection: close", *lines, "", "")).encode()


def endless(_path: str, connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(head("Content-Type: text/html"))
    while not over.is_set():
        connection.sendall(b"<p>" * (1 << 18))


def dripping(_path: str, connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(head("Content-Type: text/html"))
    while not over.wait(0.02):
        connection.sendall(b"<")


def page_of(content: bytes) -> Script:
    def script(_path: str, connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(head("Content-Type: application/json", f"Content-Length: {len(content)}") + content)

    return script


def file_after_page(answer: bytes) -> Script:
    def script(path: str, connection: socket.socket, _over: threading.Event) -> None:
        page = head("Content-Type: text/html", f"Content-Length: {len(PAGE)}") + PAGE
        connection.sendall(page if path.startswith("/simple/") else answer)

    return script


PACKED = gzip.compress(DATA)
SENT = f"Content-Length: {len(DATA)}"
BAD = {
    "endless page": (endless, "its answer is longer than 64 MiB"),
    "dripping page": (dripping, "bytes came in"),
    "page without end": (page_of(b"[" * 200_000), "its index page cannot be read"),
    "a file without name": (page_of(b'{"files": [{"filename": null, "url": "x"}]}'), "its index page cannot be read"),
    "no address": (
        page_of(f'{{"files": [{{"filename": "{NAME}", "url": "/\\ud800"}}]}}'.encode()),
        "its index page cannot be read",
    ),
    "gzip": (
        file_after_page(head("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}") + PACKED),
        "it delivers the file compressed",
    ),
    "another range": (
        file_after_page(head(SENT, f"Content-Range: bytes 5-{len(DATA)}/{len(DATA)}", status="206 Partial") + DATA),
        "it answers with another range",
    ),
    "a range of another file": (
        file_after_page(head(SENT, f"Content-Range: bytes 0-{len(DATA) - 1}/9", status="206 Partial") + DATA),
        "its file has 9 bytes",
    ),
    "no range at all": (
        file_after_page(head(SENT, "Content-Range: all", status="206 Partial") + DATA),
        "it answers with another range",
    ),
    "a range of no size": (
        file_after_page(head(SENT, f"Content-Range: bytes 0-1/{'9' * 5000}", status="206 Partial") + DATA),
        "it answers with another range",
    ),
    "no HTTP": (file_after_page(b"SSH-2.0-OpenSSH_9.6\r\n"), "its answer is broken"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_next_mirror_is_asked(bring: Bring, name: str) -> None:
    script, reason = BAD[name]
    began = time.monotonic()
    with answering(script) as bad, FakeMirror({NAME: DATA}) as fine:
        fetched = bring(WHEEL, bad, fine.url)
    assert time.monotonic() - began < 10
    assert fetched.files[NAME].read_bytes() == DATA
    assert reason in str(fetched.transfers[0].error)
    assert [record.outcome == "fetched" for record in fetched.transfers] == [False, True]


def test_more_bytes_than_asked_for(bring: Bring) -> None:
    """What follows the announced length is another answer's, so the connection is not used again."""
    with answering(file_after_page(head(SENT) + DATA + b"HTTP/1.1 200 OK\r\n\r\nmore")) as mirror:
        assert bring(WHEEL, mirror).files[NAME].read_bytes() == DATA


@pytest.mark.parametrize("body", [b"<form>user <input></form>", b'<a href="/help">help</a>'], ids=["form", "links"])
def test_a_login_page_instead_of_the_index(bring: Bring, body: bytes) -> None:
    with FakeMirror({NAME: DATA}, page_body=("text/html", body)) as portal, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, portal.url)
    assert "its page lists no package" in caught.value.tried[0]


def test_a_page_with_names_that_lead_elsewhere(bring: Bring, tmp_path: Path) -> None:
    links = f'<a href="../../../{NAME}">../../{NAME}</a><a href="/x/..%2f..%2f{NAME}">x</a>'.encode()
    with FakeMirror({NAME: DATA}, page_body=("text/html", links)) as odd, FakeMirror({NAME: DATA}) as fine:
        fetched = bring(WHEEL, odd.url, fine.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert list(tmp_path.rglob(f"*{NAME}")) == [fetched.files[NAME]]


def test_redirects_without_end(bring: Bring) -> None:
    loop = {NAME: Fault(redirect=f"/files/{NAME}")}
    with FakeMirror({NAME: DATA}, faults=loop) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror.url)
    assert "it redirects without end" in caught.value.tried[0]
    assert len(mirror.served(NAME)) <= 10


def test_a_mirror_on_ipv6_alone(bring: Bring) -> None:
    try:
        mirror = FakeMirror({NAME: DATA}, host="::1").__enter__()
    except OSError:
        pytest.skip("this host has no IPv6")
    try:
        fetched = bring(WHEEL, mirror.url)
    finally:
        mirror.__exit__()
    assert fetched.files[NAME].read_bytes() == DATA
    assert "[::1]" in fetched.transfers[0].mirror
    assert mirror.requests[0].headers["Host"] == f"[::1]:{mirror.port}"


@pytest.mark.parametrize(("start", "end"), [("20200101", "20200201"), ("20900101", "20910101")], ids=["over", "early"])
def test_the_clock_is_named_where_a_certificate_is_of_another_time(
    bring: Bring, environ: dict[str, str], tmp_path: Path, start: str, end: str
) -> None:
    certificate = dated_certificate(tmp_path, start, end)
    environ["SSL_CERT_FILE"] = str(certificate)
    with FakeMirror({NAME: DATA}, tls=certificate) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror.url)
    assert re.search(
        r"certificate (has expired|is not yet valid); this host's clock says \d{4}-", caught.value.tried[0]
    )


def dated_certificate(folder: Path, start: str, end: str) -> Path:
    """Key and certificate of 127.0.0.1 in one file; only ``openssl ca`` takes any dates."""
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=mine\n[mine]\ndatabase={folder}/index.txt\nnew_certs_dir={folder}\nrand_serial=yes\n"
        "default_md=sha256\npolicy=any\nx509_extensions=names\n[any]\ncommonName=supplied\n"
        "[names]\nsubjectAltName=IP:127.0.0.1\n"
    )
    request = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=fake -keyout key -out request"
    sign = f"ca -batch -selfsign -config ca.cnf -keyfile key -in request -out certificate -notext -startdate {start}000000Z"
    for words in (request, f"{sign} -enddate {end}000000Z"):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both
