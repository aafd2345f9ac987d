"""A store that somebody else keeps, read-only for this user: enough for a run whose wheels are all there."""

from __future__ import annotations

import os
from collections.abc import Sequence

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.progress import human_bytes

_SHOWN = 5  # names in an error


def is_closed(store: Store) -> bool:
    """This user cannot write to the store: by its permissions, or because its disk is mounted read-only."""
    place = next(path for path in (store.root.absolute(), *store.root.absolute().parents) if path.exists())
    inside = ("lock", "wheels/sha256", "partial", "unpacked", "unpacking")
    paths = [place, *(store.root / name for name in inside if (store.root / name).exists())]
    return not all(os.access(path, os.W_OK) for path in paths)


def require_whole(store: Store, wheels: Sequence[Wheel], *, unpacked: bool) -> None:
    """Raises InstallFailed when this user cannot write to the store and it lacks some of ``wheels``.

    ``unpacked``: a wheel that is there as a file alone lacks its unpacked copy.
    """
    missing = [wheel for wheel in wheels if store.holds(wheel, unpacked=unpacked) is None]
    packed = [wheel for wheel in wheels if unpacked and wheel not in missing and store.unpacked(wheel) is None]
    if not (missing or packed) or not is_closed(store):
        return
    tried = [f"missing: {_told(wheel)}" for wheel in missing[:_SHOWN]]
    tried += [f"not unpacked: {_told(wheel)}" for wheel in packed[: _SHOWN - len(tried)]]
    more = len(missing) + len(packed) - len(tried)
    raise InstallFailed(
        f"the store {store.root} cannot be written by this user, and lacks {len(missing) + len(packed)} of {len(wheels)} wheels",
        tried=[*tried, *([f"and {more} more"] if more else [])],
        hint="let its owner run the same command once, or name a store of your own with --store",
    )


def _told(wheel: Wheel) -> str:
    return f"{wheel.filename} ({human_bytes(wheel.size)})" if wheel.size else wheel.filename
