"""The store: only verified files have names; interruption, full disks and second runs lose nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import DamagedLock, InstallFailed, NoSpace, TargetBusy
from paddle_bootstrap.fetch.block_map import BLOCK, BlockMap
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.filelock import held
from paddle_bootstrap.stages.wish import default_store
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import Bring, Heard

BUFFER = 1 << 20
WHEEL, DATA = make_wheel(size=3 * BUFFER)
NAME = WHEEL.filename

FETCH = """
import json, sys
from pathlib import Path
from paddle_bootstrap import progress
from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.stages.wish import default_store
from paddle_bootstrap.mirrors.model import mirror_at

class Told:
    def step(self, message): pass
    note = warn = step
    def total(self, done, total): pass
    def transfer(self, name, done, total):
        print(done, flush=True)

wheel, url, store = json.loads(sys.argv[1])
with progress.observed_by(Told()):
    fetch([Wheel(**wheel)], build=None, mirrors=[mirror_at(url)], store=Store(Path(store)), environ={})
"""


def start(url: str, store: Store, *under: str) -> subprocess.Popen[str]:
    wheel = {"name": WHEEL.name, "version": WHEEL.version, "filename": NAME, "size": WHEEL.size, "sha256": WHEEL.sha256}
    command = [*under, sys.executable, "-c", FETCH, json.dumps([wheel, url, str(store.root)])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_default_store() -> None:
    assert default_store({"HOME": "/h"}) == Path("/h/.cache/paddle-bootstrap")
    assert default_store({"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == Path("/c/paddle-bootstrap")


@pytest.mark.parametrize("filename", ["../x.whl", "a/b.whl", "", ".", ".."])
def test_a_name_cannot_lead_elsewhere(store: Store, filename: str) -> None:
    with pytest.raises(DamagedLock):
        store.path(WHEEL.sha256, filename)


@pytest.mark.parametrize("sha256", ["", "../" + "0" * 61, "0" * 63, "A" * 64])
def test_a_digest_cannot_lead_elsewhere(store: Store, sha256: str) -> None:
    with pytest.raises(DamagedLock):
        store.has(replace(WHEEL, sha256=sha256))


def test_a_second_fetch_asks_nobody(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        bring(WHEEL, mirror.url)
        seen = len(mirror.requests)
        again = bring(WHEEL, mirror.url)
    assert len(mirror.requests) == seen
    assert again.transfers == ()


def test_a_file_that_lost_its_end_is_fetched_again(bring: Bring, store: Store) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        path = bring(WHEEL, mirror.url).files[NAME]
        os.truncate(path, 5)
        assert store.has(WHEEL) is None
        assert bring(WHEEL, mirror.url).files[NAME].read_bytes() == DATA


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_continued(bring: Bring, store: Store, how: signal.Signals) -> None:
    with FakeMirror({NAME: DATA}, most=1) as stalling, FakeMirror({NAME: DATA}) as mirror:
        stalling.faults[NAME] = Fault(stall_after=2 * BUFFER, silent=threading.Event(), pace=0.02)
        with start(stalling.url, store) as process:
            assert process.stdout is not None
            while int(process.stdout.readline()) < BUFFER:
                pass
            process.send_signal(how)
        there = in_map(store)
        arrived = sum(len(DATA[block * BLOCK : (block + 1) * BLOCK]) for block in there)
        assert BUFFER // 2 <= arrived < len(DATA)
        assert store.has(WHEEL) is None
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[0].resumed_bytes == arrived
    missing = next(block for block in range(len(DATA)) if block not in there)
    assert mirror.served(NAME)[0].headers["Range"].startswith(f"bytes={missing * BLOCK}-")


def in_map(store: Store) -> list[int]:
    """Blocks that an ended run knows to be there."""
    states = store.map_of(WHEEL).read_bytes().partition(b"\n")[2]
    return [block for block, state in enumerate(states) if state]


def leave(store: Store, left: bytes) -> None:
    """What a run leaves that has received ``left`` and nothing else."""
    store.partial(WHEEL).parent.mkdir(parents=True, exist_ok=True)
    store.partial(WHEEL).write_bytes(left)
    progress_map = BlockMap(store.map_of(WHEEL), len(DATA))
    for block in range(min(len(left), len(DATA)) // BLOCK):
        progress_map.record_written(block)
    if len(left) >= len(DATA):
        progress_map.record_written(progress_map.count - 1)
    progress_map.close()


def test_the_last_byte_had_arrived(bring: Bring, store: Store) -> None:
    leave(store, DATA)
    assert bring(WHEEL).files[NAME].read_bytes() == DATA


def test_a_wrong_partial_is_not_trusted(bring: Bring, store: Store, heard: Heard) -> None:
    for left in (bytes(len(DATA)), bytes(1000), bytes(len(DATA) + 1)):
        leave(store, left)
        with FakeMirror({NAME: DATA}) as mirror:
            path = bring(WHEEL, mirror.url).files[NAME]
            assert path.read_bytes() == DATA
        path.unlink()
    assert "left by an earlier run were wrong" in heard.text


def test_two_runs_at_once(bring: Bring, store: Store) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        with held(store.lock, "the store"), pytest.raises(TargetBusy, match=str(os.getpid())):
            bring(WHEEL, mirror.url)
        bring(WHEEL, mirror.url)
        with held(store.lock, "the store"):
            bring(WHEEL, mirror.url)  # nothing to write: nothing to wait for


def test_no_room_is_known_before_the_first_byte(bring: Bring, store: Store) -> None:
    with FakeMirror({NAME: DATA}) as mirror, pytest.raises(NoSpace, match=str(store.root)) as caught:
        bring(replace(WHEEL, size=1 << 60), mirror.url)
    assert mirror.requests == []
    assert "--store" in caught.value.hint


def test_the_disk_fills_up(bring: Bring, store: Store) -> None:
    """From its 20th block on, a real process gets ENOSPC from its kernel."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    strace = ["strace", "-f", "-o", os.devnull, "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=20+"]
    with FakeMirror({NAME: DATA}) as mirror:
        with start(mirror.url, store, *strace) as process:
            told = process.communicate()[1]
        assert "NoSpace" in told
        assert "what has arrived is kept" in told
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[0].resumed_bytes >= 5 * BLOCK


def test_an_unwritable_store_is_named(bring: Bring, store: Store) -> None:
    store.root.parent.mkdir(exist_ok=True)
    store.root.write_text("a file")
    with pytest.raises(InstallFailed, match=str(store.root)):
        bring(WHEEL)


def test_an_unwritable_folder_in_the_store_is_named(bring: Bring, store: Store) -> None:
    store.root.mkdir()
    (store.root / "partial").write_text("a file")
    with pytest.raises(InstallFailed, match="cannot write to the store") as caught:
        bring(WHEEL)
    assert "partial" in str(caught.value)
    assert "--store" in caught.value.hint
