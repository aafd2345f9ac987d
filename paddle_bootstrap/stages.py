"""The way of the data, composed: what the user asked for -> lock -> plan -> wheels -> target -> results.

Each stage is one function that takes what the one before returned; the verbs of the command line are these calls in a row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.errors import TargetRefused, UsageError
from paddle_bootstrap.host.facts import HostFacts, to_json
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock.model import Device, Lock, Selection
from paddle_bootstrap.results.model import CheckResult, Level, Results


@dataclass(frozen=True)
class Wish:
    """What the user asked for, flags, environment and settings files merged."""

    env: Path
    store: Path
    environ: Mapping[str, str]
    root: Path
    cwd: Path
    device: Device | None = None  # None: what the lock or the receipt says, else gpu
    python: str | None = None
    paddle: str | None = None
    lock: str | None = None
    mirrors: tuple[str, ...] = ()
    cuda_runtime: Literal["auto", "wheels", "system"] = "auto"
    in_place: bool = False


def default_env(environ: Mapping[str, str], cwd: Path) -> Path:
    """The active virtual environment unless the tool itself lives in it, else ./.venv-paddle."""
    import sys

    active = environ.get("VIRTUAL_ENV")
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        return Path(active)
    return cwd / ".venv-paddle"


def default_store(environ: Mapping[str, str]) -> Path:
    """``paddle-bootstrap`` in the XDG cache directory."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache"
    return Path(cache) / "paddle-bootstrap"
