"""The store and the targets that were installed from it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import CouldNotLook, InstallFailed
from paddle_bootstrap.fetch import clients, inventory, soundness
from paddle_bootstrap.fetch.clients import Client
from paddle_bootstrap.fetch.inventory import Inventory
from paddle_bootstrap.fetch.soundness import Damage
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.filelock import held
from paddle_bootstrap.install import kept, receipt


@dataclass(frozen=True)
class Uses:
    """``of``: a wheel's sha256 -> the targets that hold it, kept states included. ``gone``: targets that are no more.

    ``unread``: records of targets that cannot be read, so nobody knows what these hold.
    """

    of: Mapping[str, tuple[str, ...]]
    gone: tuple[Client, ...]
    unread: tuple[Path, ...]


def uses(store: Store) -> Uses:
    """What the recorded targets hold now. One that cannot be looked at is believed to hold what was recorded."""
    found: dict[str, list[str]] = {}
    gone = []
    recorded, unread = clients.read(store)
    for client in recorded:
        holds = _holds(client)
        if holds is None:
            gone.append(client)
        for sha256 in sorted(holds or ()):
            found.setdefault(sha256, []).append(client.path if client.is_here else f"{client.host}:{client.path}")
    return Uses({sha256: tuple(sorted(targets)) for sha256, targets in found.items()}, tuple(gone), tuple(unread))


def _holds(client: Client) -> set[str] | None:
    """The sha256 of its wheels; None when there is no such target any more."""
    told, path = set(client.wheels), Path(client.path)
    if not client.is_here:
        return told
    try:
        os.stat(path / receipt.FOLDER / "receipt.json")  # noqa: PTH116 to tell gone from closed
        last = kept.read(path)
        receipts = [receipt.read(env) for env in (path, last) if env]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, InstallFailed):  # somebody else's, or of another version of this tool
        return told
    return told.union(row["sha256"] for each in receipts if each for row in each.wheels)


def list_store(store: Store) -> tuple[Inventory, Uses]:
    """What is there, and who uses it."""
    return inventory.read(store), uses(store)


def prune(store: Store, *, everything: bool, older_than: float | None, dry_run: bool) -> tuple[list[str], int]:
    """Remove what no target uses (``everything``: used or not); ``older_than``: only what came so many seconds ago.

    Raises CouldNotLook when it is not known what a target uses.
    """
    inventory.read(store)
    if not store.root.is_dir():
        return [], 0
    found = uses(store)
    if found.unread and not everything:
        raise CouldNotLook(
            f"nothing is removed from {store.root}: what some targets use is not known, since their records cannot be read",
            tried=[str(path) for path in found.unread],
            hint="install into such a target again, which writes its record anew; remove the records of targets that are gone; "
            "or remove everything, used or not: paddle-bootstrap store prune --all",
        )
    used = () if everything else found.of.keys()
    before = math.inf if older_than is None else time.time() - older_than  # a clock may have been wrong
    gone, size = inventory.prune(store, frozenset(used), before, dry_run=dry_run)
    if not dry_run:
        for client in found.gone:
            clients.forget(store, client)
    return gone, size


def verify(store: Store, *, remove: bool) -> tuple[list[Damage], Uses]:
    """Every damaged wheel and unpacked copy; ``remove``: and take them out, so that the next run brings them again."""
    damages = soundness.damages(inventory.read(store).wheels)
    if remove and damages:
        with held(store.lock, f"the store {store.root}"), store.explained():
            for damage in damages:
                inventory.remove(store, damage.path)
    return damages, uses(store)
