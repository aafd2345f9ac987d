"""The wanted file itself is measured, everywhere at once, in bounded time, and who is out is told why."""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.fetch.rank import rank
from paddle_bootstrap.lock.model import PIECE_SIZE
from paddle_bootstrap.mirrors.model import mirror_at
from tests.fakes.certificate import self_signed
from tests.fakes.mirror import FakeMirror, Fault, make_wheel

WHEEL, DATA = make_wheel(version="2.0", size=PIECE_SIZE + 1000)
WHEEL = replace(WHEEL, pieces=(hashlib.sha256(DATA[:PIECE_SIZE]).hexdigest(), "0" * 64))
OLD_WHEEL, OLD = make_wheel(version="1.0")
NAME = WHEEL.filename
FILES = {NAME: DATA, OLD_WHEEL.filename: OLD}


class Place:
    """Mirrors by name, ranked together."""

    def __init__(self, stack: ExitStack, environ: Mapping[str, str]) -> None:
        self._stack = stack
        self._environ = environ
        self.mirrors: dict[str, FakeMirror] = {}
        self.urls: dict[str, str] = {}

    def add(self, name: str, mirror: FakeMirror, fault: Fault | None = None) -> None:
        if fault:
            mirror.faults[NAME] = fault
        self.mirrors[name] = self._stack.enter_context(mirror)
        self.urls[name] = mirror.url

    def rank(self, seconds: float = 4.0) -> tuple[list[str], dict[str, str]]:
        """Names of those that serve, fastest first, and why the others are out."""
        mirrors = [mirror_at(url, name=name) for name, url in self.urls.items()]
        found = rank(WHEEL, mirrors, build=None, environ=self._environ, seconds=seconds)
        out = {measured.mirror.name: measured.reason for measured in found if measured.speed is None}
        return [measured.mirror.name for measured in found if measured.speed is not None], out


@pytest.fixture
def place(environ: Mapping[str, str]) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, environ)


def test_every_way_to_be_out(place: Place, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = server.getsockname()[1]
    place.add("healthy", FakeMirror(FILES))
    place.add("page-only", FakeMirror(FILES), Fault(status=404))
    place.add("stale", FakeMirror(FILES, hidden={NAME}))
    place.add("banned", FakeMirror(FILES), Fault(status=403))
    place.add("empty", FakeMirror({}))
    place.add("stranger", FakeMirror(FILES, tls=self_signed(tmp_path)))
    place.add("liar", FakeMirror(FILES), Fault(body=bytes(len(DATA))))
    place.add("shorter", FakeMirror(FILES), Fault(body=DATA[:-1]))
    place.add("portal", FakeMirror(FILES, ranges=False), Fault(body=b"<html>", content_type="text/html"))
    place.add("cut", FakeMirror(FILES), Fault(cut_after=100_000))
    place.urls |= {"dead": f"http://127.0.0.1:{dead}/simple", "nameless": "http://no.such.host.invalid/simple"}
    place.urls["folders"] = "https://h.invalid/{build}/"
    started = time.monotonic()
    serving, out = place.rank()
    assert time.monotonic() - started < 5
    assert serving == ["healthy"]
    wanted = {
        "page-only": "the file: HTTP 404",
        "stale": "it does not list the file, nor any of version 2.0",
        "banned": "the file: HTTP 403",
        "empty": "its index page: HTTP 404",
        "stranger": "its certificate is not trusted: self-signed certificate",
        "liar": "it sends other bytes than the lock's",
        "shorter": f"its file has {len(DATA) - 1} bytes, the lock says {len(DATA)}",
        "portal": "instead of the file it sends",
        "cut": "its answer ended after 100000 of",
        "dead": "connection refused",
        "nameless": "its host name is not known",
        "folders": "a folder per build",
    }
    assert set(out) == set(wanted)
    assert {name: reason for name, reason in out.items() if wanted[name] not in reason} == {}


def test_the_faster_one_first_and_no_more_than_a_piece_from_each(place: Place) -> None:
    place.add("slow", FakeMirror(FILES), Fault(silent=threading.Event(), stall_after=PIECE_SIZE, pace=0.005))
    place.add("fast", FakeMirror(FILES))
    assert place.rank() == (["fast", "slow"], {})
    for mirror in place.mirrors.values():
        assert [request.headers.get("Range") for request in mirror.served(NAME)] == [f"bytes=0-{PIECE_SIZE - 1}"]


def test_who_says_nothing_costs_no_more_than_the_time_for_all(place: Place) -> None:
    for name in ("one", "two", "three"):
        place.add(name, FakeMirror(FILES), Fault(silent=threading.Event()))
    started = time.monotonic()
    serving, out = place.rank(seconds=1.5)
    assert time.monotonic() - started < 4
    assert serving == []
    assert out == dict.fromkeys(("one", "two", "three"), "no answer within 1.5 s (its page lists the file)")


def test_who_stalls_comes_after_who_drips(place: Place) -> None:
    """A fast start is no speed: the silence that follows counts."""
    place.add("stalls", FakeMirror(FILES), Fault(silent=threading.Event(), stall_after=70_000))
    place.add("slow", FakeMirror(FILES), Fault(silent=threading.Event(), stall_after=PIECE_SIZE, pace=0.02))
    serving, out = place.rank(seconds=1.0)
    assert serving[0] == "slow"
    assert set(serving) | set(out) == {"slow", "stalls"}


def test_a_local_folder_takes_part(tmp_path: Path, environ: Mapping[str, str]) -> None:
    (tmp_path / NAME).write_bytes(DATA)
    [measured] = rank(WHEEL, [mirror_at(tmp_path.as_uri())], build=None, environ=environ)
    assert measured.received == PIECE_SIZE
    assert measured.reason == ""
