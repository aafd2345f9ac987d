"""What the end of a worker process says about the host. What each signal and exit code means is in ``deaths.toml``."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.toml import read


@dataclass(frozen=True)
class Death:
    """How a process ended."""

    summary: str
    likely: str | None = None
    fix: str | None = None
    memory: str | None = None  # what the kernel's counters say, when it was a kill


def explain(code: int | None, kills_before: Mapping[str, int], kills_after: Mapping[str, int]) -> Death:
    """``code`` as in Popen.returncode; the kills are what ``memory_kills`` said when the worker started and when it died."""
    if code is None:
        return Death("it closed its pipe without an answer and lives on")
    kind, key = ("signal", _signal(-code)) if code < 0 else ("exit", str(code))
    row = _rows().get(kind, {}).get(key, {})
    summary = row.get("summary") or (f"killed by {key}" if code < 0 else f"it ended itself with exit code {code}")
    if code != -signal.SIGKILL:
        return Death(summary, row.get("likely"), row.get("fix"))
    counted = [f"{name}: {kills_before.get(name, 0)} -> {number}" for name, number in kills_after.items()]
    proved = any(number > kills_before.get(name, 0) for name, number in kills_after.items())
    told = "killed by SIGKILL: the kernel counts one more kill for want of memory" if proved else summary
    memory = f"kills for want of memory, before and after: {', '.join(counted)}" if counted else None
    return Death(told, row.get("likely"), row.get("fix"), memory)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _rows() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    rows: Mapping[str, Mapping[str, Mapping[str, str]]] = read(Path(__file__).with_name("deaths.toml"))
    return rows


def memory_kills(root: Path = Path("/")) -> dict[str, int]:
    """Kills for want of memory so far, by counter: this control group's (version 2 or 1) and the whole host's."""
    groups = _text(root / "proc/self/cgroup").splitlines()
    places = {"host": root / "proc/vmstat"}
    for line in groups:
        number, kinds, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not kinds:
            places["cgroup"] = root / "sys/fs/cgroup" / path.lstrip("/") / "memory.events"
        elif "memory" in kinds.split(","):
            places["cgroup"] = root / "sys/fs/cgroup/memory" / path.lstrip("/") / "memory.oom_control"
    found = {}
    for name, place in places.items():
        rows = dict(line.split(None, 1) for line in _text(place).splitlines() if len(line.split()) == 2)
        if rows.get("oom_kill", "").strip().isdigit():
            found[name] = int(rows["oom_kill"])
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not readable here: one counter less
