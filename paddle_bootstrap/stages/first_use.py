"""A digest that nobody publishes, learned from the file itself: downloaded whole from one of Paddle's own hosts."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoMirrorServes, WrongBytes
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.rate import Rate
from paddle_bootstrap.fetch.source import patiently
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.remote_wheel import NotThisWheel, head
from paddle_bootstrap.stages.paddle_hosts import Copy, Offer, PaddleHosts

_BLOCK = 1 << 20  # bytes
_STEP = 1 << 22  # bytes between two lines of progress


def learn(offer: Offer, wheel: Wheel, hosts: PaddleHosts, store: Store, limit_rate: float | None) -> tuple[Wheel, str]:
    """``wheel`` as its bytes are, in the store, and the host that they came from: over one connection, at no more than
    ``limit_rate`` bytes per second.

    What an interrupted run left is continued. Raises NoMirrorServes, WrongBytes.
    """
    rate = Rate(limit_rate)
    tried = []
    with held(store.lock, f"the store {store.root}"), store.explained():
        store.require_space([Wheel(wheel.name, wheel.version, wheel.filename, offer.size, "0" * 64)])
        for copy in offer.copies:
            place = _place(store, copy)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                patiently(lambda: _download(copy, place, offer.filename, hosts, rate), Patience())  # noqa: B023
            except MirrorFailure as failure:
                tried.append(f"{copy.host}: {failure.reason}")
                continue
            _judge(place, copy, offer.filename)
            return _kept(place, wheel, store), copy.host
    raise NoMirrorServes(
        f"none of Paddle's hosts could give {offer.filename}",
        tried=tried,
        hint="run the same command again: it goes on where this one stopped",
    )


def in_store(offer: Offer, known: Wheel, store: Store) -> bool:
    """Whether the store has ``known``, and it is what the hosts offer."""
    path = store.has(known)
    if path is None or known.size != offer.size:
        return False
    return _head_of(path, offer.filename) == offer.head.directory


def _place(store: Store, copy: Copy) -> Path:
    """One file per address and size: two hosts' bytes never meet in one."""
    digest = hashlib.sha256(f"{copy.link.url}\0{copy.size}\0{copy.head.directory}".encode()).hexdigest()
    return store.root / "partial" / f"first-use-{digest[:32]}.part"


def _download(copy: Copy, place: Path, filename: str, hosts: PaddleHosts, rate: Rate) -> None:
    with place.open("ab") as file:
        start = file.tell()
        if start == copy.size:
            return
        body = copy.connection.open(copy.link, start, None)
        try:
            hosts.require_known(body.url)
            if body.start != start or body.total != copy.size:
                file.truncate(0)
                raise MirrorFailure(
                    "broken", "its file changed, or it does not go on where it stopped", retry=start > 0
                )
            memory, done, told = memoryview(bytearray(min(_BLOCK, rate.at_once))), start, start
            while count := body.read_into(memory):
                file.write(memory[:count])
                done += count
                if done - told >= _STEP or done == copy.size:
                    told = done
                    progress.transfer(filename, done, copy.size)
                rate.wait_for(count)
        finally:
            body.close()
        if done != copy.size:
            raise MirrorFailure("broken", f"its answer was cut at {done} of {copy.size} bytes", retry=True)
        file.flush()
        os.fsync(file.fileno())


def _judge(place: Path, copy: Copy, filename: str) -> None:
    """The bytes are those of which the host told: the same directory, and every member of its CRC-32."""
    try:
        with zipfile.ZipFile(place) as archive:
            bad = archive.testzip()
        told = "its directory is another than before" if _head_of(place, filename) != copy.head.directory else bad
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        told = str(error)
    if told:
        place.unlink()
        raise WrongBytes(
            f"{filename} is damaged: {told}",
            tried=[f"{copy.host}: {copy.size} bytes"],
            hint="run the same command again: what came is removed",
        )


def _head_of(path: Path, filename: str) -> str | None:
    try:
        with path.open("rb") as file:
            return head(filename, path.stat().st_size, lambda start, end: _part(file, start, end)).directory
    except NotThisWheel:
        return None


def _part(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _kept(place: Path, wheel: Wheel, store: Store) -> Wheel:
    measured = pieces.measure(place)
    learned = Wheel(wheel.name, wheel.version, wheel.filename, measured.size, measured.sha256, measured.pieces)
    place.replace(store.partial(learned))
    store.keep(learned)
    return learned
