"""A run that uses no network: what it needs is in the store, or in a bundle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch.fetch import Fetched
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import TransferRecord
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.stages.wish import Wish


def offline(wish: Wish, bundle: Path | None, allowed: Path | None) -> Wish:
    """``wish`` without a network; what it leaves open of lock and Python is the bundle's. Raises as ``opening.opened``."""
    if bundle is None:
        return replace(wish, offline=True)
    from paddle_bootstrap.bundle import opening  # few runs have a bundle

    started = time.monotonic()
    found = opening.opened(bundle, allowed)
    progress.note(f"{bundle}: read in {time.monotonic() - started:.1f} s")
    if found.signer:
        progress.step(f"{bundle} is signed by {found.signer}")
    own_python = wish.python is not None or (wish.env / "bin" / "python").exists()
    lock = wish.lock or str(found.lock)
    return replace(wish, offline=True, bundle=found, lock=lock, python=wish.python if own_python else found.python)


def bring(wish: Wish, wheels: Sequence[Wheel], *, unpacked: bool) -> Fetched:
    """``wheels`` in the store, from the bundle if there is one. Raises NoMirrorServes, NoBuildFits, WrongBytes, NoSpace."""
    store = Store(wish.store)
    missing = [wheel for wheel in wheels if store.holds(wheel, unpacked=unpacked) is None]
    if missing and wish.bundle is None:
        raise NoMirrorServes(
            f"--offline: {len(missing)} wheels are not in the store {store.root}",
            tried=[wheel.filename for wheel in missing],
            hint="give a bundle that holds them: --offline BUNDLE; or run `paddle-bootstrap fetch` where there is a network",
        )
    records: tuple[TransferRecord, ...] = ()
    if missing and wish.bundle:
        from paddle_bootstrap.bundle import opening

        records = opening.bring(wish.bundle, missing, store)
    return Fetched({wheel.filename: store.path(wheel.sha256, wheel.filename) for wheel in wheels}, records)
