"""Asks uv which versions go together, and knows which wheels a CPython on the oldest host takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from uv import find_uv_bin

from paddle_bootstrap.errors import NoBuildFits, NoMirrorServes
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.surroundings import neutral

MANYLINUX = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}  # old names: minor of the glibc that each means
_PLATFORMS = (17, 28, *range(31, 41))  # minor versions of glibc that uv's --python-platform takes
_DRAWN = re.compile("[\u00d7\u2500-\u257f\u25b6]+")  # what uv draws around its words


@dataclass(frozen=True)
class Question:
    """What shall go together, and which index is asked."""

    name: str  # of the lock, for errors
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    glibc: str
    index: str  # may hold credentials: it goes into a variable, not into a command
    newest: str | None = None  # nothing that was uploaded later
    certificate: str | None = None
    patience: float = 300.0  # seconds


def resolve(question: Question, python: str) -> list[Requirement]:
    """What uv takes for ``python``: each pinned with ``==``, or with the address it was given.

    Raises NoBuildFits, and NoMirrorServes when the index takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(question.constraints), encoding="utf-8")
        command = [find_uv_bin(), "pip", "compile", "--no-config", "--no-header", "--no-annotate", "--quiet"]
        command += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", python]
        command += ["--python-platform", _platform(question.glibc), "--constraints", str(constraints), "-"]
        command += ["--exclude-newer", question.newest] if question.newest else []
        done = _run(command, question, python)
    if done.returncode:
        raise NoBuildFits(
            f"uv could not resolve {question.name} for Python {python}",
            tried=[redact(_words(done.stderr))],
            hint="change what is asked for beside Paddle (extra in paddle-bootstrap.toml), or take another build",
        )
    return [Requirement(line) for line in done.stdout.splitlines() if "==" in line or " @ " in line]


def _run(command: Sequence[str], question: Question, python: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input="\n".join(question.requirements),
            capture_output=True,
            text=True,
            env=environment(question.index, question.certificate),
            timeout=question.patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoMirrorServes(
            f"uv could not resolve {question.name} for Python {python} in {question.patience:g} s",
            tried=[f"{redact(question.index)}: it answers too slowly, or not at all"],
            hint="run the same command again, what uv has learned is kept; or name a faster index as an origin",
        ) from error


def environment(index: str, certificate: str | None) -> dict[str, str]:
    """For a uv that asks ``index``: settings of whoever runs us may not reach its answer."""
    cache = {name: os.environ[name] for name in ("UV_CACHE_DIR",) if name in os.environ}
    checked = {"SSL_CERT_FILE": certificate} if certificate else {}
    return {**neutral(os.environ), **cache, "UV_DEFAULT_INDEX": index, "NO_COLOR": "1", **checked}


def _words(stderr: str) -> str:
    """uv's own explanation as one line."""
    return " ".join(_DRAWN.sub(" ", stderr).split())


def _platform(glibc: str) -> str:
    """The newest platform uv knows that such a host can run: what fits that fits the host."""
    wanted = int(glibc.split(".")[1])
    return f"x86_64-manylinux_2_{max(minor for minor in _PLATFORMS if minor <= wanted)}"


def tags_of(python: str, glibc: str) -> list[Tag]:
    """The tags of a CPython on the oldest host that the lock is for, so that one file serves every host."""
    minor, oldest = int(python.split(".")[1]), int(glibc.split(".")[1])
    legacy = {number: f"{name}_x86_64" for name, number in MANYLINUX.items()}
    platforms = ["linux_x86_64"]
    for number in range(oldest, 4, -1):
        platforms += [f"manylinux_2_{number}_x86_64", *([legacy[number]] if number in legacy else [])]
    return [*cpython_tags((3, minor), platforms=platforms), *compatible_tags((3, minor), f"cp3{minor}", platforms)]


def fits(tags: Sequence[Tag], wheel_tags: frozenset[Tag]) -> int | None:
    """How well a wheel suits an installer with ``tags``, best first: 0 is best, None is not at all."""
    rank = {tag: position for position, tag in enumerate(tags)}
    found = [rank[tag] for tag in wheel_tags if tag in rank]
    return min(found) if found else None
