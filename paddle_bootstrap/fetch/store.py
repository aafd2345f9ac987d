"""The store: wheels by their sha256, so that one name with many contents (one per cuXXX folder) mixes nothing.

ROOT/wheels/sha256/AA/SHA256/FILENAME    verified, complete
ROOT/partial/SHA256.part, SHA256.map     what has arrived so far, and which bytes those are; the next run goes on there
ROOT/unpacked/AA/SHA256/                 a wheel, unpacked: targets hold links to these files
ROOT/unpacked/AA/SHA256.cpython-312/     its bytecode for one Python
ROOT/unpacking/SHA256/                   one that is being unpacked, or was when its run was killed
ROOT/lock                                held while a run writes
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paddle_bootstrap.errors import DamagedLock, InstallFailed, NoSpace
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.replacing import sync_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Store:
    """A folder of verified wheels. Making one touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def path(self, sha256: str, filename: str) -> Path:
        """Where a wheel stands, or would. Raises DamagedLock for a digest or a name that could lead elsewhere."""
        if not _SHA256.fullmatch(sha256) or Path(filename).name != filename or filename in ("", ".", ".."):
            raise DamagedLock(f"not a file name with a sha256: {filename!r} {sha256!r}")
        return self.root / "wheels" / "sha256" / sha256[:2] / sha256 / filename

    def has(self, wheel: Wheel) -> Path | None:
        """The wheel, if it is here. Its hash was verified before it got this name; a lost end shows in its size."""
        path = self.path(wheel.sha256, wheel.filename)
        try:
            size = path.stat().st_size
        except OSError:
            return None
        return path if wheel.size in (None, size) else None

    def holds(self, wheel: Wheel, *, unpacked: bool) -> Path | None:
        """The wheel or, where ``unpacked`` is enough, its unpacked copy."""
        return self.has(wheel) or (self.unpacked(wheel) if unpacked else None)

    def lacks(self, wheel: Wheel, *, unpacked: bool) -> bool:
        """It is to be brought; also one that has arrived, and was unpacked, in a run that was killed before it named it."""
        if self.has(wheel):
            return False
        if self.unpacked(wheel) is None or not unpacked:
            return True
        partial = self.partial(wheel)
        return _size(partial) >= (wheel.size or 0) > 0 and os.access(partial, os.W_OK)

    def drop(self, wheel: Wheel) -> int:
        """Remove the wheel where its unpacked copy is here to be installed from; returns the bytes."""
        path = self.has(wheel)
        if path is None or self.unpacked(wheel) is None:
            return 0
        with self.explained():
            size = path.stat().st_size
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        return size

    def partial(self, wheel: Wheel) -> Path:
        """Where a wheel's bytes gather until they are all there and right."""
        self.path(wheel.sha256, wheel.filename)
        return self.root / "partial" / f"{wheel.sha256}.part"

    def unpacked(self, wheel: Wheel) -> Path | None:
        """The unpacked wheel, if it is here: it got this name when it was whole."""
        path = self._unpacked(wheel)
        return path if path.is_dir() else None

    def _unpacked(self, wheel: Wheel) -> Path:
        self.path(wheel.sha256, wheel.filename)
        return self.root / "unpacked" / wheel.sha256[:2] / wheel.sha256

    def place_to_unpack(self, wheel: Wheel) -> Path:
        """A folder for the wheel's files, that does not exist; what a killed run left there is removed."""
        self.path(wheel.sha256, wheel.filename)
        place = self.root / "unpacking" / wheel.sha256
        with self.explained():
            if place.exists():
                shutil.rmtree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def keep_unpacked(self, wheel: Wheel, place: Path) -> Path:
        """Give the unpacked wheel its name; an earlier one is removed."""
        path = self._unpacked(wheel)
        with self.explained():
            for old in (path, *bytecode_of(path)):
                self.bury(old)
            path.parent.mkdir(parents=True, exist_ok=True)
            place.replace(path)
        return path

    def bury(self, folder: Path) -> None:
        """Remove a folder, if it is there; half of it never has a good name."""
        grave = self.root / "unpacking" / f"{folder.name}.old"
        if grave.exists():
            shutil.rmtree(grave)
        if folder.exists():
            grave.parent.mkdir(exist_ok=True)
            folder.rename(grave)
            shutil.rmtree(grave)

    def map_of(self, wheel: Wheel) -> Path:
        """Which of a partial's bytes have arrived."""
        return self.partial(wheel).with_suffix(".map")

    def drop_partial(self, wheel: Wheel) -> None:
        """Nothing of it has arrived."""
        self.partial(wheel).unlink(missing_ok=True)
        self.map_of(wheel).unlink(missing_ok=True)

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def keep(self, wheel: Wheel) -> Path:
        """Give the verified partial its name. The caller has compared its digest and flushed it to the disk."""
        path = self.path(wheel.sha256, wheel.filename)
        with self.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial(wheel).replace(path)
            self.map_of(wheel).unlink(missing_ok=True)
            sync_folder(path.parent)
        return path

    def require_space(self, wheels: Sequence[Wheel]) -> None:
        """Raises NoSpace when the missing bytes of ``wheels`` do not fit. Sizes that a lock lacks count as 0."""
        missing = sum(max(0, (wheel.size or 0) - _size(self.partial(wheel))) for wheel in wheels)
        place = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
        state = os.statvfs(place)
        free = state.f_bavail * state.f_frsize
        if free < missing:
            raise NoSpace(
                f"the store {self.root} lacks {human_bytes(missing - free)}: "
                f"{human_bytes(missing)} to fetch, {human_bytes(free)} free",
                hint="free some space, or name a store on another disk with --store",
            )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of the file system inside the block name the store and the way on."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(
                    f"the store {self.root} is full; what has arrived is kept for the next run",
                    hint="free some space, or name a store on another disk with --store",
                ) from error
            raise InstallFailed(
                f"cannot write to the store {self.root}: {error.filename or ''} {error.strerror}".replace("  ", " "),
                hint="make it writable for this user, or name another one with --store",
            ) from error


def bytecode_of(unpacked: Path) -> list[Path]:
    """What was compiled of an unpacked wheel, a folder for each Python; one with a number more is being made."""
    return sorted(unpacked.parent.glob(f"{unpacked.name}.*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512  # a partial file has holes
    except OSError:
        return 0
