"""Who vouches for the digest of Paddle's own wheel: the index, a record, or nobody but its host (first use)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import FirstUse, WrongBytes
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Learned, Wheel
from paddle_bootstrap.lock.recorded import TABLE as RECORDS
from paddle_bootstrap.lock.recorded import Recorded, recorded
from paddle_bootstrap.releases.model import Release
from paddle_bootstrap.stages.first_use import in_store, learn
from paddle_bootstrap.stages.paddle_hosts import Offer, PaddleHosts

Known = Mapping[str, tuple[Wheel, Learned]]  # file name -> its row, and how its digest is known


@dataclass(frozen=True)
class Vouching:
    """``earlier`` is what the lock that is being replaced has learned; ``records`` what ships with the tool."""

    folder: str | None  # of the build, on the Paddle index
    hosts: PaddleHosts
    store: Store
    earlier: Known
    first_use: bool  # whether a digest may be learned from its own host
    records: Path = RECORDS
    limit_rate: float | None = None  # bytes per second

    def of(self, offer: Offer, wheel: Wheel) -> tuple[Wheel, Learned | None]:
        """``wheel`` with its digest, and how that is known; None: the index publishes it.

        Raises FirstUse where that is not allowed, WrongBytes where two words contradict each other.
        """
        if offer.published:
            return replace(wheel, sha256=offer.published), None
        earlier, record = self.earlier.get(offer.filename), self.record(offer.filename)
        if record:
            return self._by_record(offer, wheel, record)
        if not self.first_use:
            raise FirstUse(
                f"--require-shipped: nobody publishes or has recorded the digest of {offer.filename}",
                hint="take a build whose digests are recorded: README, Locks; or leave --require-shipped out",
            )
        if earlier and in_store(offer, earlier[0], self.store):
            return earlier
        return self._learned(offer, wheel, earlier)

    def record(self, filename: str) -> Recorded | None:
        return recorded(self.folder, filename, self.records)

    def _by_record(self, offer: Offer, wheel: Wheel, record: Recorded) -> tuple[Wheel, Learned]:
        if record.size not in (None, offer.size):
            raise WrongBytes(
                f"{offer.filename} is not the file that was recorded",
                tried=[
                    f"recorded by {record.source}: {record.size} bytes",
                    f"{offer.copies[0].host}: {offer.size} bytes",
                ],
                hint="somebody serves another file under that name: do not use it, and tell Paddle",
            )
        right, earlier = replace(wheel, sha256=record.sha256), self.earlier.get(offer.filename)
        if earlier and earlier[1].how == "recorded" and earlier[0].sha256 == record.sha256:
            return right, earlier[1]
        return right, Learned(offer.filename, "recorded", record.source, _today(), offer.transport)

    def _learned(self, offer: Offer, wheel: Wheel, earlier: tuple[Wheel, Learned] | None) -> tuple[Wheel, Learned]:
        progress.warn(
            f"{offer.filename}: nobody publishes its digest; it is learned now from Paddle's own host: first use"
        )
        found, host = learn(offer, wheel, self.hosts, self.store, self.limit_rate)
        if earlier and earlier[0].sha256 != found.sha256:
            raise WrongBytes(
                f"{host} has another {offer.filename} than on {earlier[1].on}",
                tried=[f"then: sha256 {earlier[0].sha256}", f"now: sha256 {found.sha256}"],
                hint="a published file does not change: ask Paddle; to take the new one all the same, move the lock away",
            )
        return found, Learned(offer.filename, "first use", host, _today(), offer.transport)


def learned_before(path: Path, release: Release) -> Known:
    """What the lock that stands at ``path``, if one does, has learned of this build's files."""
    if not path.is_file():
        return {}
    lock = pylock.read(path)
    if lock.build is None or lock.build.index_folder != release.index_folder:
        return {}
    wheels = {wheel.filename: wheel for package in pylock.packages(lock) for wheel in package.wheels}
    return {row.file: (wheels[row.file], row) for row in lock.learned}


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
