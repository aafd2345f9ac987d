"""Unpacked wheels in the store, made from whole ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import TargetBusy
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.unpack.crew import Crew
from paddle_bootstrap.unpack.unpacking import Unpacking


def unpacked(store: Store, wheel: Wheel, *, again: bool = False) -> Path:
    """The unpacked ``wheel``; ``again``: made anew, since somebody has edited a file of it.

    Raises RefusedWheel for a wheel that holds what it may not, NoSpace, InstallFailed, TargetBusy.
    """
    found = store.unpacked(wheel)
    if found is None or again:
        unpack(store, [wheel], again=again)
        found = store.unpacked(wheel)
    assert found
    return found


def unpack(store: Store, wheels: Sequence[Wheel], *, again: bool = False) -> None:
    """Unpack ``wheels`` of the store, all at once; not what another run has just unpacked, unless ``again``.

    Raises as ``unpacked``.
    """
    with held(store.lock, f"the store {store.root}"), store.explained():
        crew = Crew(threading.Condition())
        finish = False
        try:
            for wheel in [wheel for wheel in wheels if again or store.unpacked(wheel) is None]:
                place, path = store.place_to_unpack(wheel), store.path(wheel.sha256, wheel.filename)
                size = path.stat().st_size
                unpacking = Unpacking(path, place, partial(_all, size), crew.news)
                crew.add(unpacking, partial(store.keep_unpacked, wheel, place))
            finish = True
        finally:
            crew.close(finish=finish)


def _all(size: int, _offset: int) -> int:
    return size


def unpack_missing(store: Store, wheels: Sequence[Wheel]) -> None:
    """Unpack those of ``wheels`` that are not unpacked yet. Raises as ``unpacked``."""
    missing = [wheel for wheel in wheels if store.unpacked(wheel) is None]
    if missing:
        progress.step(f"unpacking {len(missing)} wheels")
        unpack(store, missing)


def drop_wheels(store: Store, wheels: Sequence[Wheel]) -> None:
    """Remove the files of ``wheels`` whose unpacked copies are in the store, unless another run uses it."""
    if not any(store.has(wheel) for wheel in wheels):
        return
    try:
        with held(store.lock, f"the store {store.root}"):
            sizes = [size for wheel in wheels if (size := store.drop(wheel))]
    except TargetBusy as busy:
        progress.warn(f"the wheel files stay for now: {busy}")
    else:
        progress.step(f"removed {len(sizes)} wheel files from the store ({progress.human_bytes(sum(sizes))})")
