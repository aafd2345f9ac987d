"""Broken at any moment, a target is old or new, never between, and the next run finishes.

PADDLE_BOOTSTRAP_TEST_MOMENTS says how many runs are broken (20), PADDLE_BOOTSTRAP_TEST_SEED when.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.test_install_root import needs_mounts

MOMENTS = int(os.environ.get("PADDLE_BOOTSTRAP_TEST_MOMENTS", "20"))
SEED = os.environ.get("PADDLE_BOOTSTRAP_TEST_SEED", "1")
ROOT = Path(__file__).resolve().parents[2]


def campaign(root: Path, how: str, mount: str = "true") -> list[dict[str, Any]]:
    """Half of the moments, in a mount namespace of its own when something is mounted."""
    command = [sys.executable, "-m", "tests.integration.campaign", str(root), how, str(MOMENTS // 2), SEED]
    apart = ["unshare", "-m"] if mount != "true" else []
    done = subprocess.run(
        [*apart, "sh", "-c", f"{mount} && {shlex.join(command)}"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    told = Counter((each["how"].split()[0], each["action"], each["found"]) for each in moments if each["broken"])
    for what, count in sorted(told.items()):
        print(count, *what)  # pytest -s shows it
    return [each for each in moments if each["broken"]]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    broken = campaign(tmp_path, "kill")
    assert len(broken) >= MOMENTS // 2
    assert any(each["left"] for each in broken), "no kill fell into the work itself"


@needs_mounts
def test_the_disk_is_full_at_any_moment(tmp_path: Path) -> None:
    broken = campaign(tmp_path, "full", f"mount -t tmpfs -o size=256m,nr_inodes=100000 tmpfs {tmp_path}")
    assert len(broken) >= MOMENTS // 2
    assert {each["left"] for each in broken} == {0}, "a run that ended by itself left something"
