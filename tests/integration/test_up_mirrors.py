"""From three slow mirrors, one of which lies, to an accepted target: what a new host goes through, with real wheels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.lock.model import PIECE_SIZE
from tests.fakes.faults import Fault
from tests.fakes.mirror import FakeMirror

ROOT = Path(__file__).resolve().parents[2]


def tool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", *words]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )


@pytest.mark.paddle
def test_a_lying_mirror_is_named_and_the_target_is_accepted(cpu_target: Path, test_store: Path, tmp_path: Path) -> None:
    same = ("--device", "cpu", "--python", str((cpu_target / "bin/python").resolve()))
    paths = [Path(line) for line in tool(tmp_path, "fetch", *same, "--store", str(test_store)).stdout.splitlines()]
    files = {path.name: path.read_bytes() for path in paths}
    big = max(files, key=lambda name: len(files[name]))
    with (
        FakeMirror(files, rate=1e7) as liar,
        FakeMirror(files, rate=1e7) as second,
        FakeMirror(files, rate=1e7) as third,
    ):
        liar.faults[big] = Fault(flips=tuple(range(7, len(files[big]), PIECE_SIZE)))
        named = [word for mirror in (liar, second, third) for word in ("--mirror", mirror.url)]
        places = ("--env", "env", "--store", "store", "--results", "r.json")
        done = tool(tmp_path, "up", *same, *named, *places, "--no-compile-bytecode", "-k", "cnn or install")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["verdict"] == "accepted"
    wrong = {row["mirror"]: row["wrong_pieces"] for row in results["transfers"] if row["filename"] == big}
    assert wrong.pop(liar.url) >= 1
    assert wrong == {second.url: 0, third.url: 0}
    assert f"{big}: {liar.url}: it delivers wrong bytes (piece " in done.stderr
    assert f"WRONG BYTES from {liar.url}, which were not used" in " ".join(done.stdout.split())
