"""Progress is durable: killed at any moment, the next run asks for next to nothing twice, and never believes too much."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from paddle_bootstrap.fetch.block_map import BLOCK, FLUSHED, WRITTEN, BlockMap
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.fetch.store import Store
from tests.fakes.mirror import FakeMirror
from tests.unit.fetch.conftest import HASTE, Bring
from tests.unit.fetch.pieced import pieced, received

WHEEL, DATA = pieced(size=20 << 20)
NAME = WHEEL.filename
SHARING = replace(HASTE, join=0.0, read=2.0)

CHILD = """
import json, sys
from pathlib import Path
from paddle_bootstrap import progress
from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import mirror_at

class Told:
    def step(self, message): pass
    note = warn = step
    def total(self, done, total): pass
    def transfer(self, name, done, total):
        print(done, flush=True)

wheel, urls, store = json.loads(sys.argv[1])
mirrors = [mirror_at(url) for url in urls]
with progress.observed_by(Told()):
    fetch([Wheel(**wheel)], build=None, mirrors=mirrors, store=Store(Path(store)), patience=Patience(join=0), environ={})
"""


def child(store: Store, *mirrors: FakeMirror, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    told = json.dumps([asdict(WHEEL), [mirror.url for mirror in mirrors], str(store.root)])
    command = [*under, sys.executable, "-c", CHILD, told]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def serving(rate: float) -> FakeMirror:
    return FakeMirror({NAME: DATA}, rate=rate)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.75])
def test_killed(bring: Bring, store: Store, share: float) -> None:
    with serving(4e6) as first, serving(4e6) as second:
        with child(store, first, second) as process:
            assert process.stdout is not None
            told = 0
            while told < share * len(DATA):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    with FakeMirror({NAME: DATA}) as third:
        fetched = bring(WHEEL, third.url, terms=Terms(connections=5))
    resumed = fetched.transfers[0].resumed_bytes
    assert fetched.files[NAME].read_bytes() == DATA
    assert resumed >= told
    assert received(fetched) <= len(DATA) - resumed + 0.02 * len(DATA)


def test_interrupted(bring: Bring, store: Store) -> None:
    """Ctrl-C: everything is flushed, and the process ends at once."""
    with serving(4e6) as mirror, child(store, mirror) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 3 << 20:
            pass
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=3)
    assert "KeyboardInterrupt" in told
    states = store.map_of(WHEEL).read_bytes().partition(b"\n")[2]
    assert states.count(FLUSHED) >= 2 << 20 >> 17
    assert states.count(WRITTEN) == 0


def left(store: Store, states: bytes, boot: str) -> None:
    """A partial file that is right, and a map that says less."""
    store.partial(WHEEL).parent.mkdir(parents=True, exist_ok=True)
    store.partial(WHEEL).write_bytes(DATA)
    BlockMap(store.map_of(WHEEL), len(DATA)).close()
    head = json.loads(store.map_of(WHEEL).read_bytes().partition(b"\n")[0])
    head["boot"] = boot or head["boot"]
    store.map_of(WHEEL).write_bytes(json.dumps(head).encode() + b"\n" + states)


COUNT = -(-len(DATA) // BLOCK)


@pytest.mark.parametrize(("boot", "believed"), [("", 30), ("another", 10)])
def test_what_was_not_flushed_is_believed_until_the_machine_boots(
    bring: Bring, store: Store, boot: str, believed: int
) -> None:
    left(store, bytes([FLUSHED] * 10 + [WRITTEN] * 20 + [0] * (COUNT - 30)), boot)
    with FakeMirror({NAME: DATA}) as mirror:
        fetched = bring(WHEEL, mirror.url)
    assert fetched.transfers[0].resumed_bytes == believed * BLOCK
    assert 0 <= received(fetched) - (len(DATA) - believed * BLOCK) <= 0.02 * len(DATA)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\n",
        b"[1]\n" + bytes([2] * COUNT),
        b'{"size": 1}\n' + bytes([2] * COUNT),
        b"\xff" * 500,
        json.dumps({"size": len(DATA), "block": BLOCK, "boot": 3}).encode() + b"\n" + bytes([2] * (COUNT - 1)),
        json.dumps({"size": len(DATA), "block": BLOCK // 2, "boot": ""}).encode() + b"\n" + bytes([2] * COUNT),
    ],
)
def test_a_map_that_says_nothing(bring: Bring, store: Store, text: bytes) -> None:
    left(store, b"", "")
    store.map_of(WHEEL).write_bytes(text)
    with FakeMirror({NAME: DATA}) as mirror:
        fetched = bring(WHEEL, mirror.url)
    assert fetched.transfers[0].resumed_bytes == 0
    assert fetched.files[NAME].read_bytes() == DATA


def test_a_map_without_its_boot_believes_what_was_flushed(bring: Bring, store: Store) -> None:
    left(store, b"", "")
    head = json.dumps({"size": len(DATA), "block": BLOCK}).encode() + b"\n"
    store.map_of(WHEEL).write_bytes(head + bytes([FLUSHED, WRITTEN, 77] + [0] * (COUNT - 3)))
    with FakeMirror({NAME: DATA}) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].resumed_bytes == BLOCK


def test_wrong_blocks_of_an_earlier_run_are_found(bring: Bring, store: Store) -> None:
    left(store, bytes([FLUSHED] * COUNT), "")
    with store.partial(WHEEL).open("r+b") as file:
        file.seek(9_000_000)
        file.write(b"no")
    with FakeMirror({NAME: DATA}) as mirror:
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["fetched"]
    assert 4 << 20 <= received(fetched) <= 5 << 20


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_order_of_writes(store: Store, tmp_path: Path) -> None:
    """A block is written before its byte in the map; the file is flushed before the map says so."""
    record = tmp_path / "calls"
    traced = ("strace", "-f", "-y", "-s", "512", "-o", str(record), "-e", "trace=pwrite64,fdatasync,rename")
    with serving(8e6) as mirror, child(store, mirror, under=traced) as process:
        process.communicate()
    assert process.returncode == 0
    written: set[int] = set()  # blocks whose write has returned
    flushed: set[int] = set()
    flushing: dict[str, set[int]] = {}  # thread -> what was written when it began to flush
    waiting: dict[str, int] = {}  # thread -> the block it is writing
    said, start = 0, 0
    for line in record.read_text().splitlines():
        thread, call = line.split(None, 1)
        unfinished = "<unfinished" in call
        if match := re.match(r"pwrite64\(\d+<[^>]*\.part>, .*, (\d+), (\d+)(?:\)\s*=\s*(\d+)| <unf)", call):
            waiting[thread] = int(match[2]) // BLOCK
            if not unfinished:
                written.add(waiting.pop(thread))
        elif call.startswith("<... pwrite64 resumed>") and thread in waiting:
            written.add(waiting.pop(thread))
        elif re.match(r"fdatasync\(\d+<[^>]*\.part>", call):
            flushing[thread] = set(written)
            if not unfinished:
                flushed |= flushing.pop(thread)
        elif call.startswith("<... fdatasync resumed>"):
            flushed |= flushing.pop(thread)
        elif match := re.match(r'pwrite64\(\d+<[^>]*\.map>, "(.*)", (\d+), (\d+)', call):
            states = [int(state) for state in re.findall(r"\\([0-7]{1,3})", match[1])]
            if match[3] == "0":
                start = int(match[2]) - COUNT  # the first write holds the whole map
                continue
            for block, state in enumerate(states, int(match[3]) - start):
                assert state != WRITTEN or block in written, line
                assert state != FLUSHED or block in flushed, line
                said += 1
        elif call.startswith("rename(") and ".part" in call:
            assert flushed == set(range(COUNT))
    assert said >= COUNT
    assert os.path.exists(store.path(WHEEL.sha256, NAME))  # noqa: PTH110
