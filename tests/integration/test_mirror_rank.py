"""``paddle-bootstrap mirror rank`` through the command line, on loopback mirrors with the faults that mirrors have."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.mirrors.rows import rows
from tests.fakes.certificate import self_signed
from tests.fakes.desk import Desk
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.fakes.wheels import build, write_lock


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Ranking:
    """A lock of tiny wheels, and a settings file in which no shipped mirror leads out of this host."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        filling = {"paddle/filling.bin": random.Random(0).randbytes(400_000)}
        wheels = [build(desk.folder / "wheels", "paddlepaddle", "3.3.1", filling)]
        self.lock = write_lock(desk.folder / "pylock.cpu.toml", wheels)
        self.files = {wheel.path.name: wheel.path.read_bytes() for wheel in wheels}
        self.name = max(self.files, key=lambda name: len(self.files[name]))
        desk.pip.unlink()
        desk.uv.unlink()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.dead = f"http://127.0.0.1:{server.getsockname()[1]}"

    def configure(self, mirrors: Mapping[str, str]) -> None:
        shipped = {mirror.name: f"{self.dead}/{mirror.name}" for mirror in rows() if mirror.holds != "python"}
        tables = (f'[[mirror]]\nname = "{name}"\nurl = "{url}"\n' for name, url in {**mirrors, **shipped}.items())
        self.desk.write("work/paddle-bootstrap.toml", "".join(tables))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.desk.mirror("rank", "--lock", self.lock, "--python", sys.executable, *words)

    def order(self) -> list[str]:
        return [line.split()[0] for line in self.desk.mirror("list").stdout.splitlines()]


def test_rank_tells_who_serves_and_why_others_do_not(desk: Desk, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    it = Ranking(desk)
    old, old_bytes = make_wheel("paddlepaddle", "1.0")
    with (
        FakeMirror(it.files) as fast,
        FakeMirror(it.files) as slow,
        FakeMirror(it.files) as no_file,
        FakeMirror({**it.files, old.filename: old_bytes}, hidden={it.name}) as stale,
        FakeMirror(it.files) as banned,
        FakeMirror(it.files) as silent,
        FakeMirror(it.files, tls=self_signed(tmp_path)) as stranger,
    ):
        size = len(it.files[it.name])
        slow.faults[it.name] = Fault(silent=threading.Event(), stall_after=size, pace=0.1)
        no_file.faults[it.name] = Fault(status=404)
        banned.faults[it.name] = Fault(status=403)
        silent.faults[it.name] = Fault(silent=threading.Event())
        urls = {"silent": silent.url, "slow": slow.url, "no-file": no_file.url, "stale": stale.url}
        it.configure({**urls, "banned": banned.url, "stranger": stranger.url, "fast": fast.url})
        started = time.monotonic()
        done = it.run()
        assert time.monotonic() - started < 10  # the silent one is not waited for
        assert done.returncode == 0, done.stderr
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert [(place, name) for place, name, _ in lines[:2]] == [("1", "fast"), ("2", "slow")]
    out = {name: reason for place, name, reason in lines if place == "-"}
    for name, words in {
        "no-file": "the file: HTTP 404",
        "stale": "it does not list the file, nor any of version 3.3.1",
        "banned": "HTTP 403",
        "silent": "no answer within 3 s",
        "stranger": "certificate is not trusted",
        "tuna": "connection refused",
    }.items():
        assert words in out[name]
    assert it.order()[:2] == ["fast", "slow"]  # remembered


def test_rank_of_named_mirrors_is_not_remembered(desk: Desk) -> None:
    it = Ranking(desk)
    with FakeMirror(it.files) as one, FakeMirror(it.files) as two:
        it.configure({"one": one.url, "two": two.url})
        one.faults[it.name] = Fault(status=404)
        assert it.run("--mirror", "one", "--mirror", "two").returncode == 0
    assert it.order()[:2] == ["one", "two"]


def test_rank_when_nobody_serves(desk: Desk) -> None:
    it = Ranking(desk)
    done = it.run("--mirror", f"{it.dead}/simple")
    assert done.returncode == 12
    assert "connection refused" in done.stderr
    assert done.stdout == ""
    assert it.name in done.stderr
