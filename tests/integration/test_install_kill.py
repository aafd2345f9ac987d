"""``kill -9`` at any moment of an installation leaves the old target or the new one, and the next run goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.fakes.wheels import ONE, TWO, Provisioning, untrue_rows

MOMENTS = 24


def timed(it: Provisioning, lock: str) -> float:
    start = time.monotonic()
    assert it.install(lock).returncode == 0
    return time.monotonic() - start


def killed_after(it: Provisioning, lock: str, seconds: float) -> None:
    command = [*it.command(lock), "--python", sys.executable]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.kill()


def test_kill_at_any_moment(tmp_path: Path) -> None:
    it = Provisioning(tmp_path)
    it.install("one")
    it.install("two")
    took = max(timed(it, "one"), timed(it, "two"))
    wanted, other = ("one", ONE), ("two", TWO)
    seen, interrupted = set(), 0
    for moment in range(MOMENTS):
        killed_after(it, wanted[0], took * (moment + 1) / MOMENTS)
        found = it.edition()
        assert found in (ONE, TWO)
        assert untrue_rows(it.site_packages()) == []
        interrupted += bool(it.beside())
        seen.add((found == wanted[1], bool(it.beside())))
        if found == wanted[1]:
            wanted, other = other, wanted
    assert interrupted >= 3, "no kill fell into the work itself"
    done = it.install(wanted[0])
    assert done.returncode == 0, done.stderr
    assert it.edition() == wanted[1]
    assert it.beside() == set()
    assert (False, True) in seen
