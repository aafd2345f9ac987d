"""Bringing wheels into the store: the seat of an engine, and its first form, one stream from one mirror at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.index_page import Link
from paddle_bootstrap.fetch.partial import BUFFER, Partial
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Body, Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.progress import human_bytes

_FLUSH = BUFFER // 4  # bytes gathered before they are written
_DRAW_SECONDS = 0.1
_REFUSALS = (
    2  # files in a row that a mirror refused: it will refuse the rest too, and asking on is what gets hosts banned
)


Outcome = Literal["fetched", "failed", "wrong", "missing", "skipped"]  # skipped: it had failed before in this run


@dataclass(frozen=True)
class TransferRecord:
    """One mirror's part in one file."""

    filename: str
    mirror: str  # name and address, without secrets
    bytes: int  # that this mirror delivered
    resumed_bytes: int  # that were there before
    seconds: float
    outcome: Outcome
    error: str | None = None  # the mirror's reason


@dataclass(frozen=True)
class Brought:
    """What a transfer did: every attempt, and for the files that are still missing each mirror's reason."""

    records: tuple[TransferRecord, ...]
    missing: tuple[Wheel, ...] = ()


class Transfer(Protocol):
    """Brings wheels from mirrors into the store. Law 1: nothing gets its name before its bytes match the lock."""

    def bring(self, wheels: Sequence[Wheel], sources: Sequence[Source], store: Store) -> Brought: ...


class OneStream:
    """One connection, mirrors in the order given. What one mirror delivered is continued by the next."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._out: dict[Source, str] = {}  # mirrors that are not asked again in this run, and why
        self._refusals: dict[Source, int] = {}

    def bring(self, wheels: Sequence[Wheel], sources: Sequence[Source], store: Store) -> Brought:
        """Every wheel is tried, so that one missing file does not hide another, and the next run has less to do."""
        records: list[TransferRecord] = []
        missing = []
        for wheel in wheels:
            with Partial(store, wheel) as partial:
                found = self._bring_one(wheel, sources, partial, records)
            if found:
                store.keep(wheel)
                size = partial.size
                progress.transfer(wheel.filename, size, size)
            else:
                missing.append(wheel)
        return Brought(tuple(records), tuple(missing))

    def _bring_one(
        self, wheel: Wheel, sources: Sequence[Source], partial: Partial, records: list[TransferRecord]
    ) -> bool:
        if partial.size and partial.size == wheel.size:  # the last run ended between the last byte and the name
            if partial.digest() == wheel.sha256:
                return True
            partial.restart()
        attempts: list[TransferRecord] = []
        for source in sources:
            attempts.append(self._attempt(source, wheel, partial))
            if attempts[-1].outcome == "fetched":
                records += [record for record in attempts if record.outcome != "skipped"]
                return True
            self._tell(wheel, source, attempts[-1])
        records += attempts
        return False

    def _tell(self, wheel: Wheel, source: Source, record: TransferRecord) -> None:
        last = "; it is not asked again" if source in self._out else ""
        if record.outcome in ("failed", "wrong"):
            progress.warn(f"{wheel.filename}: {record.mirror}: {record.error}{last}")
        else:
            progress.note(f"{wheel.filename}: {record.mirror}: {record.error}")

    def _attempt(self, source: Source, wheel: Wheel, partial: Partial) -> TransferRecord:
        """One mirror's whole part in one file, with all its retries."""
        if source in self._out:
            return TransferRecord(
                wheel.filename, source.mirror.redacted, 0, partial.size, 0.0, "skipped", self._out[source]
            )
        began, before = time.monotonic(), partial.size
        stream = _Stream(source, wheel, partial, self.patience)
        failure: MirrorFailure | None = None
        try:
            stream.deliver()
            self._refusals[source] = 0
        except MirrorFailure as error:
            failure = error
            self._judge(source, error)
        outcome: Outcome = "fetched"
        if failure:
            outcome = failure.kind if failure.kind in ("wrong", "missing") else "failed"
        return TransferRecord(
            wheel.filename,
            source.mirror.redacted,
            stream.delivered,
            before,
            round(time.monotonic() - began, 3),
            outcome,
            failure.reason if failure else None,
        )

    def _judge(self, source: Source, failure: MirrorFailure) -> None:
        if failure.kind == "refused":
            self._refusals[source] = self._refusals.get(source, 0) + 1
        if failure.kind in ("unreachable", "limited") or self._refusals.get(source, 0) >= _REFUSALS:
            self._out.setdefault(source, failure.reason)


class _Stream:
    """One file from one mirror."""

    def __init__(self, source: Source, wheel: Wheel, partial: Partial, patience: Patience) -> None:
        self.source = source
        self.wheel = wheel
        self.partial = partial
        self.patience = patience
        self.delivered = 0  # bytes
        self._validator: str | None = None
        self._drawn = 0.0

    def deliver(self) -> None:
        """Returns when the partial holds the lock's bytes; raises MirrorFailure.

        Bytes that another mirror or an earlier run left may be the wrong ones, so this mirror is blamed only for a file
        that it delivered alone.
        """
        link = self.source.find(self.wheel)
        inherited = self.partial.size > 0
        self._gather(link)
        if inherited and self.partial.digest() != self.wheel.sha256:
            progress.warn(f"{self.wheel.filename}: bytes left by an earlier attempt were wrong; it is fetched again")
            self.partial.restart()
            self._gather(link)
        found = self.partial.digest()
        if found != self.wheel.sha256:
            self.partial.restart()
            raise MirrorFailure("wrong", f"it delivers sha256 {found}, the lock says {self.wheel.sha256}")

    def _gather(self, link: Link) -> None:
        """Until the last byte: goes on after each cut while there is progress, and gives up after some without."""
        idle = 0
        while True:
            reached = self.partial.size
            try:
                self._read(link)
                return
            except MirrorFailure as failure:
                if not failure.retry:
                    raise
                idle = 0 if self.partial.size >= reached + self.patience.progress else idle + 1
                if idle > self.patience.retries:
                    raise
                progress.note(f"{self.wheel.filename}: {failure.reason}; going on at {human_bytes(self.partial.size)}")
                if idle:
                    time.sleep(self.patience.pause * 2 ** (idle - 1))

    def _read(self, link: Link) -> None:
        body = self.source.open(link, self.partial.size, self._validator)
        try:
            self._require_size(body.total)
            if body.start != self.partial.size:
                self.partial.restart()
            self._validator = body.validator
            self._pump(body)
        finally:
            body.close()
        size = self.wheel.size
        if body.cut or (size is not None and self.partial.size < size):
            raise MirrorFailure("broken", f"the transfer was cut at {human_bytes(self.partial.size)}", retry=True)
        if size is not None and self.partial.size > size:
            self.partial.restart()
            raise MirrorFailure("wrong", f"it delivers more than the lock's {size} bytes")

    def _require_size(self, announced: int | None) -> None:
        if announced is not None and self.wheel.size is not None and announced != self.wheel.size:
            raise MirrorFailure("wrong", f"its file has {announced} bytes, the lock says {self.wheel.size}")

    def _pump(self, body: Body) -> None:
        """From the body to the partial, until the body ends or holds more than the lock says."""
        window, window_bytes = time.monotonic(), self.delivered
        count = 1
        while count and (self.wheel.size is None or self.partial.size <= self.wheel.size):
            buffer, filled = self.partial.buffer(), 0
            view = memoryview(buffer)
            try:
                while filled < _FLUSH and (count := body.read_into(view[filled:])):
                    filled += count
                    self.delivered += count
                    now = time.monotonic()
                    self._draw(now, self.partial.size + filled)
                    if now - window >= self.patience.read:
                        if (self.delivered - window_bytes) < self.patience.floor * (now - window):
                            raise MirrorFailure("broken", f"it sends less than {human_bytes(self.patience.floor)}/s")
                        window, window_bytes = now, self.delivered
            finally:  # an interrupted run continues where it stopped
                self.partial.append(buffer, filled)

    def _draw(self, now: float, done: int) -> None:
        if now - self._drawn >= _DRAW_SECONDS and done != self.wheel.size:
            self._drawn = now
            progress.transfer(self.wheel.filename, done, self.wheel.size)
