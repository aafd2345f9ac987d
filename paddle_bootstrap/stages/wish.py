"""What the user asked for: flags, environment and settings files merged."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.harness.acceptance import Acceptance
from paddle_bootstrap.lock.model import Device
from paddle_bootstrap.results.model import Level

if TYPE_CHECKING:  # few runs have a bundle
    from paddle_bootstrap.bundle.opening import Opened


@dataclass(frozen=True)
class Wish:
    """One request. What is None was not asked for."""

    env: Path
    store: Path
    environ: Mapping[str, str]
    root: Path  # the host's "/", as this process sees it
    cwd: Path
    device: Device | None = None  # None: what the lock or the receipt says, else gpu
    python: str | None = None
    paddle: str | None = None  # a version, a range, or auto
    build: str | None = None  # "cu126"
    gpus: str | None = None  # those meant, as CUDA_VISIBLE_DEVICES names them; environ has them too
    allow_older: bool = False  # the newest build that fits and is served, rather than the newest that fits
    lock: str | None = None
    extra: tuple[str, ...] = ()  # what the project's settings put into a lock beside Paddle
    require_shipped: bool = False  # no digest that is known from first use alone
    mirrors: tuple[str, ...] = ()
    mirror_tables: tuple[Mapping[str, Any], ...] = ()  # the user's [[mirror]]
    cuda_runtime: Literal["auto", "wheels", "system"] = "auto"
    in_place: bool = False
    repair: bool = False  # compare every file of the target with its digest
    keep: bool = True  # the target's last state, beside it
    keep_wheels: bool = True  # in the store, after an installation
    compile_bytecode: bool = True
    terms: Terms = field(default_factory=Terms)
    offline: bool = False  # nothing is asked of any network
    bundle: Opened | None = None  # where an offline run takes the wheels that the store lacks


@dataclass(frozen=True)
class Judging:
    """How deep to look, and with whose checks."""

    level: Level = "quick"
    checks: tuple[Path, ...] = ()
    keyword: str | None = None
    within: float | None = None  # seconds; None: as long as it takes
    baseline: Path | None = None  # a site's own floors
    allow_busy: bool = False
    force_load: bool = False
    accepted: tuple[Acceptance, ...] = ()


def default_env(environ: Mapping[str, str], cwd: Path) -> Path:
    """The active virtual environment unless the tool itself lives in it, else ./.venv-paddle."""
    active = environ.get("VIRTUAL_ENV")
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        return Path(active)
    return cwd / ".venv-paddle"


def default_store(environ: Mapping[str, str]) -> Path:
    """``paddle-bootstrap`` in the XDG cache directory."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/") / ".cache"
    return Path(cache) / "paddle-bootstrap"
