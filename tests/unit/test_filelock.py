"""Two runs at once on one place: the second is told who holds it; a dead holder holds nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed, TargetBusy
from paddle_bootstrap.filelock import held

HOLDER = (
    "import sys, pathlib\n"
    "from paddle_bootstrap.filelock import held\n"
    "with held(pathlib.Path(sys.argv[2]), 'the store'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "fetch", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with holder(path) as process:
        with pytest.raises(TargetBusy) as caught, held(path, "the store /x"):
            pass
        process.kill()
    assert f"the store /x is in use by process {process.pid} (paddle-bootstrap fetch) since 20" in str(caught.value)
    assert caught.value.exit_code == 14
    assert str(path) in caught.value.tried[0]


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        process.send_signal(signal.SIGKILL)
    assert json.loads(path.read_text())["pid"] == process.pid
    with held(path, "the store"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == ""


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "the store"), pytest.raises(TargetBusy), held(tmp_path / "lock", "the store"):
        pass


def test_released_when_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(KeyError), held(tmp_path / "lock", "the store"):
        raise KeyError
    with held(tmp_path / "lock", "the store"):
        pass


def test_a_foreign_text_in_the_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("{}")
    with held(tmp_path / "lock", "the store"):
        pass


def test_an_impossible_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallFailed, match="cannot lock the store"), held(tmp_path / "file" / "lock", "the store"):
        pass


def test_the_command_line_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "fetch", "--mirror", "https://me:secret@host/simple"])
    with held(tmp_path / "lock", "the store"):
        assert "secret" not in (tmp_path / "lock").read_text()


FULL = """
import resource, sys
from pathlib import Path
from paddle_bootstrap.filelock import held
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with held(Path(sys.argv[1]), "the store"):
    print("held")
"""


def test_where_nothing_can_be_written_it_is_held_all_the_same(tmp_path: Path) -> None:
    """Or a full disk could not be pruned."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "held\n", done.stderr
