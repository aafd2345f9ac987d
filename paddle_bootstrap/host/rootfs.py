"""Paths of a host whose ``/`` is mounted elsewhere: a validation container sees it below, say, /host."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.host.facts import Unknown

VARIABLE = "PADDLE_BOOTSTRAP_ROOTFS"
LINKS = 40  # as many as Linux follows before it calls them a loop


def root_from(environ: Mapping[str, str]) -> Path:
    """Where the host's ``/`` is for this process."""
    return Path(environ.get(VARIABLE) or "/")


def inside(root: Path, path: str) -> Path:
    """``path`` of the host, as a path of this process.

    Absolute links are followed below ``root``: /host/dev/shm -> /run/shm means /host/run/shm, not the container's own.
    Raises OSError for links that go round in a loop.
    """
    if root == Path("/"):
        return root / path
    done: list[str] = []
    left = path.split("/")[::-1]
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del done[-1:]
        elif part not in ("", "."):
            here = root.joinpath(*done, part)
            if here.is_symlink():
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = here.readlink()
                done = [] if target.is_absolute() else done
                left += [piece for piece in target.parts[::-1] if piece != "/"]
            else:
                done.append(part)
    return root.joinpath(*done)


def exists(root: Path, path: str) -> bool:
    """Is the host's ``path`` there, as far as this user may see?"""
    try:
        return inside(root, path).exists()
    except OSError:
        return False


def text(root: Path, path: str) -> str | Unknown:
    """What the host's file ``path`` holds; bytes that are not UTF-8 are shown as escapes."""
    found = data(root, path)
    return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else found


def data(root: Path, path: str) -> bytes | Unknown:
    """The bytes of the host's file ``path``."""
    try:
        return inside(root, path).read_bytes()
    except OSError as error:
        return Unknown(f"{root / path}: {os.strerror(error.errno or 0)}")
