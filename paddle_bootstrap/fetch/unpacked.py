"""Unpacked wheels in the store, made from whole ones."""

from __future__ import annotations

import os
from pathlib import Path

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.unpack.unpacking import unpack

THREADS = max(1, min(4, len(os.sched_getaffinity(0))))  # more wait for the disk


def unpacked(store: Store, wheel: Wheel, *, again: bool = False) -> Path:
    """The unpacked ``wheel``; ``again``: made anew, since somebody has edited a file of it.

    Raises WrongBytes for a wheel that holds what it may not, NoSpace, InstallFailed, TargetBusy.
    """
    found = store.unpacked(wheel)
    if found and not again:
        return found
    with held(store.lock, f"the store {store.root}"):
        place = store.place_to_unpack(wheel)
        with store.explained():
            unpack(store.path(wheel.sha256, wheel.filename), place, threads=THREADS)
        return store.keep_unpacked(wheel, place)
