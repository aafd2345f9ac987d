"""Installs, upgrades and rolls back again and again, and breaks each run at a random moment.

By ``kill -9``, some time after its first step or, with strace, before a certain system call; or by a disk that fills up.

    python -m tests.integration.campaign ROOT kill|full MOMENTS SEED

prints one JSON object for each moment. ``full`` needs ROOT to be a tmpfs that this process may remount: its limits of
inodes (a link takes one there) and of bytes are the disk. A target that is neither old nor new ends the campaign with an error.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from paddle_bootstrap.install import kept, receipt
from tests.fakes.wheels import ONE, TWO, Provisioning, untrue_rows

EDITIONS = {None: None, "one": ONE, "two": TWO}  # a lock's name, None: no target -> what the target's Python sees
ACTIONS = ("install", "upgrade", "upgrade", "rollback", "rollback")
PAGE = 4096  # bytes
CALLS = {"unlinkat": 80, "fsync": 10, "mkdir": 40, "rename": 12, "linkat": 60, "rmdir": 12, "syncfs": 1, "renameat2": 2}
BACK = {
    "fsync": 2,
    "mkdir": 4,
    "rename": 2,
    "rmdir": 3,
    "syncfs": 1,
    "renameat2": 2,
}  # how many of each a rollback makes


@dataclass(frozen=True)
class Moment:
    """What was broken, and what stood there afterwards. ``broken``: the run did not come to its end."""

    action: str
    how: str
    broken: bool
    found: str  # old, new
    left: int  # entries beside the target


class Campaign:
    """Two locks take turns in one target."""

    def __init__(self, root: Path, how: str, seed: int) -> None:
        self.it, self.how, self.random = Provisioning(root), how, random.Random(seed)
        self.strace = self.can_strace()
        self.took: dict[str, float] = {}  # seconds from the first step to the end
        for lock in ("one", "two", "one"):
            self.finish(self.command("upgrade", lock), lock)
        for action, lock in (("upgrade", "two"), ("rollback", "one"), ("install", "one")):
            if action == "install":
                self.remove()
            self.took[action] = self.timed(self.command(action, lock), lock)

    @staticmethod
    def can_strace() -> bool:
        """It is here, and the kernel allows it."""
        try:
            return (
                subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode
                == 0
            )
        except OSError:
            return False

    def command(self, action: str, lock: str) -> list[str]:
        if action == "rollback":
            return [sys.executable, "-m", "paddle_bootstrap", "rollback", "--env", str(self.it.env)]
        return [*self.it.command(lock), "--python", sys.executable]

    def remove(self) -> None:
        for path in (self.it.env, *kept.siblings(self.it.env)):
            shutil.rmtree(path, ignore_errors=True)

    def state(self) -> str | None:
        """The lock that the target holds. Everything in it must agree, and in its kept state too."""
        if not self.it.env.exists():
            return None
        told = receipt.read(self.it.env)
        assert told, "no receipt"
        assert self.it.edition() == EDITIONS[told.lock_name], (
            f"{self.it.edition()} with the receipt of {told.lock_name}"
        )
        for env in filter(None, (self.it.env, kept.read(self.it.env))):
            assert (wrong := untrue_rows(self.it.site_packages(env))) == [], f"{env}: {wrong}"
        return told.lock_name

    def finish(self, command: list[str], lock: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert self.state() == lock
        assert self.it.beside() == set()

    def timed(self, command: list[str], lock: str) -> float:
        with self.begun(command) as process:
            start = time.monotonic()
            process.communicate()
            took = time.monotonic() - start
        assert self.state() == lock
        return took

    @contextmanager
    def begun(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """A run that has said its first step: nothing before it touches the target."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            process.stderr.readline()
            yield process

    def moment(self) -> Moment:
        old = self.state()
        action = self.random.choice(ACTIONS)
        if action == "rollback" and not kept.read(self.it.env):
            action = "upgrade"
        if action == "install":
            self.remove()
            old = None
        new = "two" if old == "one" else "one"
        broken, how = self.broken(action, new)
        found, left = self.state(), len(self.it.beside())
        assert found in (old, new), f"{found} is neither {old} nor {new}"
        if found == old:
            self.finish(self.command(action, new), new)
        elif action != "rollback":
            self.finish(self.command(action, new), new)  # nothing to do but to tidy up
        return Moment(action, how, broken, "new" if found == new else "old", left)

    def broken(self, action: str, lock: str) -> tuple[bool, str]:
        """Whether the run did not come to its end, and what was done to it."""
        if self.how == "full":
            return self.without_room(action, lock), "full"
        if self.strace and self.random.random() < 0.5:
            name, times = self.random.choice(sorted((BACK if action == "rollback" else CALLS).items()))
            return self.struck(action, lock, name, self.random.randint(1, times)), f"kill at {name}"
        return self.killed(action, lock), "kill"

    def struck(self, action: str, lock: str, call: str, when: int) -> bool:
        inject = ["-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
        done = subprocess.run(["strace", *inject, *self.command(action, lock)], capture_output=True, check=False)
        return done.returncode != 0

    def killed(self, action: str, lock: str) -> bool:
        with self.begun(self.command(action, lock)) as process:
            time.sleep(self.random.uniform(0, self.took[action]))
            process.kill()
        return process.returncode != 0

    def without_room(self, action: str, lock: str) -> bool:
        """Room for a random part of what the run takes."""
        told = os.statvfs(self.it.root)
        inodes, pages = told.f_files - told.f_ffree, (told.f_blocks - told.f_bfree) * told.f_frsize // PAGE
        entries = sum(1 for _ in self.it.root.rglob("*")) // 4 if action != "rollback" else 6
        if self.random.random() < 0.7:
            self.limit(f"nr_inodes={inodes + self.random.randrange(entries)}")
        else:
            self.limit(f"size={(pages + self.random.randrange(entries // 3 + 1)) * PAGE}")
        done = subprocess.run(self.command(action, lock), capture_output=True, text=True, check=False)
        self.limit("nr_inodes=100000,size=256m")
        assert done.returncode in (0, 14), done.stderr
        return done.returncode != 0

    def limit(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.it.root], check=True)


def main(root: str, how: str, moments: str, seed: str) -> None:
    campaign = Campaign(Path(root), how, int(seed))
    broken = 0
    while broken < int(moments):
        moment = campaign.moment()
        broken += moment.broken
        print(json.dumps(asdict(moment)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
