"""Who a process is, by /proc. A process id that NVML tells is the host's: in a container it may not resolve."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.host.rootfs import text

MOST = 64  # ancestors that are followed; ids can be reused while they are read


@dataclass(frozen=True)
class Process:
    """One process. ``user``: its name, or its number where nothing names it."""

    pid: int
    name: str
    user: str


def find(root: Path, pid: int) -> Process | None:
    """The process ``pid``; None when it is not seen from here."""
    told = text(root, f"proc/{pid}/status")
    if not isinstance(told, str):
        return None
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in told.splitlines())}
    uid = (fields.get("Uid", "").split() or ["unknown"])[0]
    return Process(pid, fields.get("Name", "unknown"), user(root, uid))


def user(root: Path, uid: str) -> str:
    """The name that /etc/passwd has for ``uid``, else that number."""
    told = text(root, "etc/passwd")
    rows = (line.split(":") for line in told.splitlines()) if isinstance(told, str) else ()
    return next((row[0] for row in rows if len(row) > 2 and row[2] == uid), f"user {uid}")


def ours(root: Path, pid: int) -> bool:
    """Is this our own process, or one that we have started?"""
    for _ in range(MOST):
        if pid == os.getpid():
            return True
        told = text(root, f"proc/{pid}/stat")
        words = told.rpartition(")")[2].split() if isinstance(told, str) else ()
        if len(words) < 2 or not words[1].isdigit():
            return False
        pid = int(words[1])
    return False
