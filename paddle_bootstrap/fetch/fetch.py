"""Brings a lock's wheels into the store: each from the first mirror that serves the right bytes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoMirrorServes, NoSpace, WrongBytes
from paddle_bootstrap.fetch.connection import Refused, Session
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import Transfer, TransferRecord, download
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.progress import human_bytes


@dataclass(frozen=True)
class Fetched:
    """Every wheel's verified file, and what each mirror did for it."""

    files: Mapping[str, Path]
    transfers: tuple[TransferRecord, ...]


def fetch(
    wheels: Sequence[Wheel],
    *,
    build: str | None,
    mirrors: Sequence[Mirror],
    store: Store,
    environ: Mapping[str, str],
    transfer: Transfer = download,
) -> Fetched:
    """Fetch what the store lacks of ``wheels``. ``build``: the folder on mirrors that keep one per build.

    Raises NoMirrorServes or WrongBytes, naming what every mirror did; what arrived is kept for the next run.
    """
    records: list[TransferRecord] = []
    if any(store.has(wheel) is None for wheel in wheels):
        with held(store.lock, f"the store {store.root}"):
            missing = [wheel for wheel in wheels if store.has(wheel) is None]
            _require_room(missing, store)
            sessions = [Session(mirror, environ) for mirror in mirrors]
            for wheel in missing:
                records += _fetched(wheel, build, sessions, store, transfer)
            for session in sessions:
                session.close()
    return Fetched({wheel.filename: store.path(wheel) for wheel in wheels}, tuple(records))


def _require_room(missing: Sequence[Wheel], store: Store) -> None:
    partial = sum(store.partial(wheel).stat().st_size for wheel in missing if store.partial(wheel).exists())
    needed = sum(wheel.size or 0 for wheel in missing) - partial
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise NoSpace(
            f"the store {store.root} needs {human_bytes(needed)}, its file system has {human_bytes(free)} free",
            hint="free some space, or give a --store elsewhere",
        )


def _fetched(
    wheel: Wheel, build: str | None, sessions: Sequence[Session], store: Store, transfer: Transfer
) -> Iterator[TransferRecord]:
    records: list[TransferRecord] = []
    for session in sessions:
        record = _attempt(wheel, build, session, store, transfer)
        records.append(record)
        if record.outcome == "served":
            path = store.admit(wheel)
            progress.transfer(wheel.filename, path.stat().st_size, path.stat().st_size)
            yield from records
            return
        progress.note(f"{record.mirror}: {record.error}")
    tried = [f"{record.mirror}: {record.error}" for record in records]
    if any(record.outcome == "wrong" for record in records):
        raise WrongBytes(
            f"no mirror has the lock's {wheel.filename}",
            tried=tried,
            hint="do not install it; report the mirrors that are named, and try another with --mirror",
        )
    raise NoMirrorServes(
        f"no mirror could serve {wheel.filename}",
        tried=tried or ["no mirror is configured"],
        hint="check the network and proxy, or name a mirror: --mirror TUNA or --mirror https://HOST/simple",
    )


def _attempt(wheel: Wheel, build: str | None, session: Session, store: Store, transfer: Transfer) -> TransferRecord:
    partial = store.partial(wheel)
    before = partial.stat().st_size if partial.exists() else 0
    started = time.monotonic()
    outcome, error, digest = "served", None, ""
    try:
        digest = transfer(wheel, session, build, partial)
    except Refused as reason:
        outcome, error = "refused", str(reason)
    arrived = partial.stat().st_size if partial.exists() else 0
    if outcome == "served" and digest != wheel.sha256:
        whole = f"{arrived} bytes with sha256 {digest[:16]}…, the lock has {wheel.sha256[:16]}…"
        outcome, error = "wrong", f"sent wrong bytes: {whole}"
        partial.unlink()
        if before:  # the liar may be an earlier mirror: this one gets a whole chance of its own
            return _attempt(wheel, build, session, store, transfer)
    elif outcome == "served":
        _synced(partial)
    return TransferRecord(
        filename=wheel.filename,
        mirror=session.mirror.name,
        bytes=max(0, arrived - before),
        resumed_bytes=before,
        seconds=round(time.monotonic() - started, 3),
        outcome=outcome,  # type: ignore[arg-type]
        error=error,
    )


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
