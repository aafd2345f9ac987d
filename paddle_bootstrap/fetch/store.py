"""The store: verified wheels by their sha256. A file has its name only once its size and hash hold.

    wheels/<first two>/<sha256>/<file name>     verified
    partial/<sha256>.part                       what has arrived of one that is not
    uv/                                         uv's cache of unpacked wheels
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.lock.model import Wheel


@dataclass(frozen=True)
class Store:
    root: Path

    def path(self, wheel: Wheel) -> Path:
        """Where ``wheel`` is, or will be."""
        return self.root / "wheels" / wheel.sha256[:2] / wheel.sha256 / wheel.filename

    def partial(self, wheel: Wheel) -> Path:
        return self.root / "partial" / f"{wheel.sha256}.part"

    @property
    def uv_cache(self) -> Path:
        return self.root / "uv"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    def has(self, wheel: Wheel) -> Path | None:
        """The verified file, or None. Its hash was checked when it was given this name; its size is checked now."""
        path = self.path(wheel)
        try:
            size = path.stat().st_size
        except OSError:
            return None
        return path if wheel.size in (None, size) else None

    def admit(self, wheel: Wheel) -> Path:
        """Give the verified partial file its name, durably."""
        path = self.path(wheel)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.partial(wheel), path)  # noqa: PTH105
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path
