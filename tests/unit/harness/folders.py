"""Folders of checks and workloads that a test writes, and how it runs them."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from paddle_bootstrap.harness.pool import Pool
from paddle_bootstrap.results.model import CheckResult

Run = Callable[..., dict[str, CheckResult]]
Pools = Callable[..., Pool]


class Folder:
    """A folder of checks and workloads."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    def put(self, name: str, text: str) -> Path:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(dedent(text))
        return place

    def workload(self, name: str, text: str) -> tuple[Path, ...]:
        """Write one; returns the folders to look in."""
        self.put(f"workloads/{name}.py", text)
        return (self.path / "workloads",)

    def checks(self, text: str, name: str = "check_site") -> Path:
        return self.put(f"{name}.py", f"import pytest\nfrom paddle_bootstrap.harness import expect\n{dedent(text)}")


def only(results: dict[str, CheckResult]) -> CheckResult:
    (result,) = results.values()
    return result


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether the process ends within ``seconds``; one that is dead and waits for its parent has ended."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
    return False


def first_line(fifo: Path, seconds: float = 20.0) -> str:
    """What is written there first. Opened for both directions, it does not wait for a writer that never comes."""
    with os.fdopen(os.open(fifo, os.O_RDWR), "rb", buffering=0) as said:
        assert select.select([said], [], [], seconds)[0], "nothing was written"
        return os.read(said.fileno(), 64).decode().strip()
