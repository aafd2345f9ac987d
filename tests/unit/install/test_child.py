"""What an installation starts ends with it, and hears nothing of the user's settings."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install import uv
from paddle_bootstrap.surroundings import neutral

PARENT = """
import os, sys
from paddle_bootstrap.install import child
inner = "import os, signal, sys; print(os.getpid(), file=sys.stderr, flush=True); signal.pause()"
process = child.start([sys.executable, "-c", inner], dict(os.environ))
print(process.stderr.readline(), end="", flush=True)
sys.stdin.read()
"""


def test_no_child_outlives_a_killed_run() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        inner = os.pidfd_open(int(parent.stdout.readline()))
        assert select.select([inner], [], [], 0)[0] == [], "not running"
        parent.kill()
        assert select.select([inner], [], [], 10)[0] == [inner]
        os.close(inner)


def test_settings_are_kept_out() -> None:
    hostile = dict.fromkeys(
        ("UV_INDEX_URL", "PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "SOURCE_DATE_EPOCH"), "x"
    )
    assert neutral({**hostile, "PATH": "/bin", "LANG": "C"}) == {"PATH": "/bin", "LANG": "C"}


def test_uv_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match=r"uv venv failed: .*nowhere"):
        uv.make_environment(tmp_path / "env", str(tmp_path / "nowhere"), {"PATH": "/bin"})
