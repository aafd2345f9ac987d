"""Receipts are read as they were written; room is counted per file system, for what is still to be done."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.install import receipt, space
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.space import Need
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Selection, Wheel
from tests.fakes.wheels import Provisioning

RECEIPT = Receipt(
    tool="paddle-bootstrap 1",
    created="2026-01-01T00:00:00+00:00",
    lock_name="one",
    lock_sha256="a" * 64,
    build={"id": "one"},
    python="3.11.7",
    base_python="/usr/bin/python3.11",
    cuda_runtime="wheels",
    groups=("cuda",),
    wheels=({"name": "x", "version": "1", "filename": "x.whl", "size": 1, "sha256": "b" * 64},),
    links=("lib/x.so",),
    found=("x",),
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "a.toml").write_bytes(b"# \xff\n")
    return tmp_path / "a.toml"


def test_what_is_written_is_read(tmp_path: Path, lock: Path) -> None:
    assert receipt.read(tmp_path) is None
    receipt.write(tmp_path, RECEIPT, lock, b"")
    told = receipt.read(tmp_path)
    assert told == replace(RECEIPT, files=hashlib.sha256(b"").hexdigest())
    receipt.write(tmp_path, RECEIPT, lock, b"")
    assert sorted(path.name for path in (tmp_path / receipt.FOLDER).iterdir()) == [
        "files.sha256",
        "pylock.one.toml",
        "receipt.json",
    ]


BROKEN = {
    "no JSON": ("{", "cannot be read"),
    "another version": (json.dumps({"schema_version": 2}), "another version of the tool"),
    "an unknown key": (json.dumps({**asdict(RECEIPT), "new": 1}), "another version of the tool"),
    "brackets": ("[" * 100_000, "cannot be read"),
    "a link is a number": (json.dumps({**asdict(RECEIPT), "links": [3]}), "links holds something else"),
    "a wheel is a number": (json.dumps({**asdict(RECEIPT), "wheels": [3]}), "wheels holds something else"),
    "a wheel without a name": (json.dumps({**asdict(RECEIPT), "wheels": [{}]}), "wheels holds something else"),
    "build is a number": (json.dumps({"schema_version": 1, "build": 5}), "is not a receipt: build is 5"),
    "libraries is a text": (json.dumps({"schema_version": 1, "libraries": "x"}), "is not a receipt: libraries is 'x'"),
    "a key is missing": (json.dumps({"schema_version": 1}), "is not a receipt"),
    "a list": ("[]", "another version of the tool"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_receipt_that_cannot_be_understood(tmp_path: Path, case: str) -> None:
    text, expected = BROKEN[case]
    (tmp_path / receipt.FOLDER).mkdir()
    (tmp_path / receipt.FOLDER / "receipt.json").write_text(text)
    with pytest.raises(InstallFailed, match=expected):
        receipt.read(tmp_path)


@pytest.fixture
def selection(provisioning: Provisioning) -> Selection:
    wheels = tuple(Wheel(name, "1", f"{name}.whl", size, name * 64) for name, size in (("a", 300), ("b", 100)))
    return Selection(pylock.read(provisioning.lock("one")), ("cuda",), wheels)  # unpacked: 100 000 bytes


def needed(
    selection: Selection, place: Path, missing: int = 0, packed: int = 2, target: Path | None = None
) -> list[int]:
    wheels = selection.wheels
    where = {"store": place / "s", "target": target or place / "env"}
    wanted = space.needs(selection, wheels[:missing], wheels[-packed:] if packed else (), **where)
    return [need.bytes for need in wanted]


def test_what_is_there_needs_no_room(tmp_path: Path, selection: Selection) -> None:
    assert needed(selection, tmp_path, missing=1) == [300, 100_000]
    assert needed(selection, tmp_path) == [0, 100_000]  # fetched earlier, never unpacked
    assert needed(selection, tmp_path, packed=1) == [0, 25_000]
    assert needed(selection, tmp_path, packed=0) == [0, 0]


def test_another_file_system_takes_all_of_it_again(tmp_path: Path, selection: Selection) -> None:
    other = Path("/dev/shm")
    if other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm and the tests' folder are one file system")
    assert needed(selection, tmp_path, target=other / "env") == [0, 100_000, 100_000]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_users_target_gets_its_own_copies(tmp_path: Path, selection: Selection) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    assert needed(selection, tmp_path, target=tmp_path / "home/env") == [0, 100_000, 100_000]


def test_needs_on_one_file_system_add_up(tmp_path: Path) -> None:
    told = os.statvfs(tmp_path)
    half = (told.f_bavail * told.f_frsize - space.RESERVE) * 6 // 10
    space.require([Need("one half", tmp_path, half)])
    with pytest.raises(NoSpace, match="not enough disk space") as caught:
        space.require([Need("one half", tmp_path, half), Need("the other", tmp_path / "not/there/yet", half)])
    assert "one half" in caught.value.tried[0]
    assert "the other" in caught.value.tried[0]
    assert " free" in caught.value.tried[0]
    space.require([])


def test_what_a_kept_state_takes_is_told(tmp_path: Path) -> None:
    last = tmp_path / "kept"
    last.mkdir()
    (last / "own").write_bytes(bytes(8192))
    (last / "shared").write_bytes(bytes(8192))
    os.link(last / "shared", tmp_path / "shared")
    with pytest.raises(NoSpace) as caught:
        space.require([Need("all", tmp_path, 1 << 60)], last)
    assert caught.value.tried[1] == f"the target's kept state takes 8 kB; it may be removed: rm -r {last}"
