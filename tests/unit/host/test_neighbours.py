"""Who uses a GPU: names from /proc, and which processes are our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.host import neighbours
from paddle_bootstrap.host.neighbours import Process

STATUS = "Name:\tpython\nState:\tS (sleeping)\nUid:\t1000\t1000\t1000\t1000\n"


def process(root: Path, pid: int, status: str = STATUS, stat: str | None = None) -> None:
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/status").write_text(status)
    if stat is not None:
        (root / f"proc/{pid}/stat").write_text(stat)


def test_a_process_has_a_name_and_a_user(tmp_path: Path) -> None:
    process(tmp_path, 42)
    assert neighbours.find(tmp_path, 42) == Process(42, "python", "user 1000")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    assert neighbours.find(tmp_path, 42) == Process(42, "python", "alice")


def test_a_process_that_is_not_seen_from_here(tmp_path: Path) -> None:
    assert neighbours.find(tmp_path, 42) is None
    assert not neighbours.ours(tmp_path, 42)


def test_a_process_of_which_little_is_told(tmp_path: Path) -> None:
    process(tmp_path, 42, "")
    assert neighbours.find(tmp_path, 42) == Process(42, "unknown", "user unknown")


def test_our_own_processes_and_those_they_start_are_no_neighbours() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert neighbours.ours(Path("/"), os.getpid())
        assert neighbours.ours(Path("/"), child.pid)
        assert not neighbours.ours(Path("/"), os.getppid())
    finally:
        child.communicate(b"\n")


@pytest.mark.parametrize("stat", ["", "42 (a) b) S", "42 (python) S x", "42 (python) S 42 42"])
def test_a_line_of_ancestors_that_leads_nowhere_ends(stat: str, tmp_path: Path) -> None:
    process(tmp_path, 42, stat=stat)
    assert not neighbours.ours(tmp_path, 42)
