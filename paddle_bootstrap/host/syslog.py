"""The kernel's lines of this boot in a file that syslog writes, for those who may not read /dev/kmsg."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from paddle_bootstrap.host.facts import KernelLine, Unknown
from paddle_bootstrap.host.rootfs import inside

MOST = 1 << 24  # bytes, from the end of the file
DAY = 86400.0
SLACK = 120.0  # seconds that the clock may be set by while a host boots
FIRST = "Linux version "  # what every kernel says first
_LINE = re.compile(
    r"(?P<stamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ kernel: "
    r"(?:\[ *(?P<seconds>\d+\.\d+)\] ?)?(?P<text>.*)"
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # nothing that a terminal obeys; /dev/kmsg has it escaped already


@dataclass(frozen=True)
class FileLog:
    """``begins``: seconds after boot from which on it is whole."""

    lines: tuple[KernelLine, ...]
    begins: float


def of_file(root: Path, path: str, boot: float | Unknown) -> FileLog | Unknown:
    """The kernel's lines since ``boot`` (seconds since 1970) in the host's ``path`` and what was rotated out last."""
    try:
        recent = _tail(inside(root, path))
    except OSError as error:
        return Unknown(f"{root / path}: {os.strerror(error.errno or 0)}")
    if isinstance(boot, Unknown):
        return Unknown(f"{root / path}: which of its lines are of this boot is not known: {boot.reason}")
    try:
        older = _tail(inside(root, f"{path}.1"))
    except OSError:
        older = ""
    return _of_boot(older + recent, boot) or Unknown(f"{root / path} holds no line of the kernel's since boot")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MOST))
        return file.read(MOST).decode("utf-8", "backslashreplace")


def _of_boot(content: str, boot: float) -> FileLog | None:
    lines: list[KernelLine] = []
    whole, now = False, time.time()
    stamps: dict[str, float | None] = {}  # a second with many lines is read once
    for line in content.split("\n"):
        match = _LINE.match(line)
        if not match:
            continue
        stamp = match["stamp"]
        if stamp not in stamps:
            stamps[stamp] = _moment(stamp, now)
        moment = stamps[stamp]
        if moment is None or moment < boot - SLACK:
            continue
        if match["text"].startswith(FIRST):
            lines, whole = [], True
        seconds = float(match["seconds"]) if match["seconds"] else max(0.0, moment - boot)
        lines.append(KernelLine(seconds, _CONTROL.sub("?", match["text"])))
    return FileLog(tuple(lines), 0.0 if whole else lines[0].seconds) if lines else None


def _moment(stamp: str, now: float) -> float | None:
    """Seconds since 1970. The old form has no year: the last such day that is not to come."""
    try:
        if stamp[0].isdigit():
            return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
        year = datetime.fromtimestamp(now).year
        moments = [datetime.strptime(f"{year - back} {stamp}", "%Y %b %d %H:%M:%S").timestamp() for back in (0, 1)]
    except ValueError:
        return None
    return next((moment for moment in moments if moment < now + DAY), None)
