"""The kernel's log since boot, without ``dmesg``: from /dev/kmsg, else from the files that syslog writes.

One record of /dev/kmsg is ``level,sequence,microseconds,flags;text``, then lines that begin with a space
(Documentation/ABI/testing/dev-kmsg). A record that nobody has read may be overwritten: the first sequence number tells
whether the beginning is still there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from paddle_bootstrap.host.facts import KernelLine, Unknown
from paddle_bootstrap.host.rootfs import exists, inside, text
from paddle_bootstrap.host.syslog import FileLog, of_file

__all__ = ["KernelLine", "KernelLog", "gather", "read", "since", "uptime"]

DEVICE = "dev/kmsg"
FILES = ("var/log/kern.log", "var/log/messages")  # Debian's and Red Hat's
RECORD = 1 << 16  # bytes: the kernel writes no longer one (CONSOLE_EXT_LOG_MAX, PRINTKRB_RECORD_MAX)
MOST = 1 << 26  # bytes of log that are read: CONFIG_LOG_BUF_SHIFT ends at 25
SECONDS = 3.0  # a log of 64 MB is read within one
NUMBER = (1, 11)  # /dev/kmsg, in Documentation/admin-guide/devices.txt
REFUSED = (
    "run as root, or: sysctl kernel.dmesg_restrict=0, or: usermod -aG adm USER (for /var/log/kern.log); "
    "in a container: --device /dev/kmsg --cap-add SYSLOG"
)
_HEAD = re.compile(rb"(\d+),(\d+),(\d+),([^;]*)\Z")


@dataclass(frozen=True)
class KernelLog:
    """What is known of the kernel's log. ``begins``: seconds after boot from which on it is whole."""

    lines: tuple[KernelLine, ...] | Unknown
    source: str = ""
    begins: float = 0.0


@dataclass(frozen=True)
class _Record:
    sequence: int
    continues: bool
    lines: tuple[KernelLine, ...]


def read(root: Path) -> tuple[KernelLine, ...] | Unknown:
    """The lines of the kernel's log, oldest first."""
    return gather(root).lines


def since(log: Iterable[KernelLine], moment: float) -> tuple[KernelLine, ...]:
    """What the kernel wrote from ``moment`` on, in seconds after boot."""
    return tuple(line for line in log if line.seconds >= moment)


def uptime(root: Path) -> float | Unknown:
    """Seconds since boot."""
    told = text(root, "proc/uptime")
    if isinstance(told, Unknown):
        return told
    match = re.match(r"\d+(?:\.\d+)?\b", told)
    return float(match[0]) if match else Unknown(f"{root / 'proc/uptime'} holds no number")


def gather(root: Path) -> KernelLog:
    """The log with its source; where the kernel has forgotten its beginning, that is taken from a file."""
    ring = _of_device(root)
    if isinstance(ring.lines, tuple) and ring.begins == 0:
        return ring
    files = [(path, of_file(root, path, _boot(root))) for path in FILES if exists(root, path)]
    path, found = next(((path, log) for path, log in files if isinstance(log, FileLog)), ("", None))
    if found is None:
        return ring if isinstance(ring.lines, tuple) else replace(ring, lines=_nowhere(ring.lines, files))
    if isinstance(ring.lines, Unknown):
        return KernelLog(found.lines, f"{root / path}, since {ring.lines.reason}", found.begins)
    if found.begins >= ring.begins:
        return ring
    earlier = tuple(line for line in found.lines if line.seconds < ring.begins)
    return KernelLog(earlier + ring.lines, f"{ring.source} and {root / path}", found.begins)


@cache
def _boot(root: Path) -> float | Unknown:
    """Seconds since 1970, once for the whole run: a line that is read again must have the time that it had."""
    up = uptime(root)
    return up if isinstance(up, Unknown) else time.time() - up


def _nowhere(ring: Unknown, files: list[tuple[str, FileLog | Unknown]]) -> Unknown:
    reasons = [log.reason for _, log in files if isinstance(log, Unknown)]
    return Unknown("; ".join((ring.reason, *reasons)))


def _of_device(root: Path) -> KernelLog:
    path = root / DEVICE
    try:
        blocks = list(_blocks(inside(root, DEVICE)))
    except OSError as error:
        return KernelLog(Unknown(f"{path}: {error.strerror}"))
    if blocks[-1:] == [None]:
        return KernelLog(Unknown(f"{path}: more than {MOST >> 20} MB, or not read in {SECONDS:g} s"))
    records = tuple(_records(b"".join(block or b"" for block in blocks)))
    if not records:
        return KernelLog(Unknown(f"{path} holds no record of the kernel's"))
    lines = tuple(line for record in records for line in record.lines)
    return KernelLog(lines, str(path), 0.0 if records[0].sequence == 0 else lines[0].seconds)


def _blocks(path: Path) -> Iterator[bytes | None]:
    """What one read gives after another, until the log ends or is written anew; a last ``None``: it does not end.

    Raises OSError; EPERM where only root may read, ENODEV for what is neither the kernel's log nor a file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        told = os.fstat(handle)
        number = (os.major(told.st_rdev), os.minor(told.st_rdev))
        if not (stat.S_ISREG(told.st_mode) or (stat.S_ISCHR(told.st_mode) and number == NUMBER)):
            raise OSError(errno.ENODEV, "it is not the kernel's log")
        ends, size = time.monotonic() + SECONDS, 0
        while block := _block(handle):
            size += len(block)
            yield block
            if size > MOST or time.monotonic() > ends:
                yield None
                return
    finally:
        os.close(handle)


def _block(handle: int) -> bytes:
    """One record of the device, or so much of a file; empty at the end."""
    while True:
        try:
            return os.read(handle, RECORD)
        except BlockingIOError:
            return b""
        except BrokenPipeError:  # overwritten while it was read: the next read gives the oldest that is left
            continue


def _records(content: bytes) -> Iterator[_Record]:
    """Records, old kernels' fragments joined; what is none, as the rest of one that was cut off, is left out."""
    last: _Record | None = None
    for line in content.split(b"\n"):
        head, separator, said = line.partition(b";")
        match = _HEAD.match(head) if separator else None
        if not match:
            continue
        record = _record(match, said)
        if last and match[4].startswith(b"+") and last.continues:
            record = _joined(last, record)
        elif last:
            yield last
        last = record
    if last:
        yield last


def _record(match: re.Match[bytes], said: bytes) -> _Record:
    seconds = int(match[3]) / 1e6
    shown = said.decode("utf-8", "backslashreplace").replace(r"\x09", " ")
    lines = tuple(KernelLine(seconds, part.replace(r"\x5c", "\\")) for part in shown.split(r"\x0a"))
    return _Record(int(match[2]), match[4][:1] in (b"c", b"+"), lines)


def _joined(first: _Record, second: _Record) -> _Record:
    line = first.lines[-1]
    joined = replace(line, text=line.text + second.lines[0].text)
    return replace(first, lines=(*first.lines[:-1], joined, *second.lines[1:]))
