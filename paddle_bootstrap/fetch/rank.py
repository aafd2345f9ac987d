"""Measures the wanted file itself on every mirror, side by side, in a few seconds.

A page that answers says nothing about the file, and another file says nothing about this one: a mirror lists what it
refuses to give, or lags behind. So each is asked for the file's page and for its first piece, and that piece is judged.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence

from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Body, Source
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.mirrors.ranking import Measured

SECONDS = 3.0  # for all mirrors together; the tool itself takes half a second more, on a busy host two
_READ = 256 * 1024  # bytes


def rank(
    wheel: Wheel,
    mirrors: Sequence[Mirror],
    *,
    build: str | None,
    environ: Mapping[str, str],
    trusted_hosts: Sequence[str] = (),
    seconds: float = SECONDS,
) -> tuple[Measured, ...]:
    """Every mirror, fastest first, those that are out last. Takes ``seconds`` at most, whatever the mirrors do."""
    deadline = time.monotonic() + seconds
    patience = Patience(connect=2 * seconds, read=2 * seconds, retries=0)  # the time for all ends first
    sources = [
        (mirror, Source(mirror.for_build(build) or mirror, environ, patience, trusted_hosts)) for mirror in mirrors
    ]
    probes = [_Probe(wheel, mirror, source, seconds) for mirror, source in sources]
    threads = [threading.Thread(target=probe.run, daemon=True) for probe in probes]  # a name server may never answer
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = [probe.measured() for probe in probes]
    for probe in probes:
        probe.abort()
    return tuple(sorted(found, key=lambda measured: -(measured.speed or 0.0)))


class _Probe:
    """One mirror's thread. What it has found is read when the time is over, whether it has ended or not."""

    def __init__(self, wheel: Wheel, mirror: Mirror, source: Source, seconds: float) -> None:
        self.wheel = wheel
        self.mirror = mirror
        self._connection = source.connect()
        self._seconds = seconds
        self._doing = "it is asked for its index page"
        self._asked = self._first = self._last = 0.0  # monotonic
        self._received = 0
        self._done = False
        self._reason = ""

    def run(self) -> None:
        try:
            self._measure()
        except MirrorFailure as failure:
            self._reason = failure.reason
        finally:
            self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

    def measured(self) -> Measured:
        reason, received = self._reason, self._received
        until = self._last if self._done else time.monotonic()  # who stalls has no speed to boast of
        if not reason and not received:
            reason = f"no answer within {self._seconds:g} s ({self._doing})"
        if reason:
            return Measured(self.mirror, reason=reason)
        return Measured(self.mirror, received / max(until - self._asked, 1e-6), self._first - self._asked, received)

    def _measure(self) -> None:
        if self._connection.mirror.folder_per_build:
            raise MirrorFailure("missing", "it has a folder per build, and the lock names none")
        link = self._connection.find(self.wheel)
        self._doing = "its page lists the file"
        wanted = min(PIECE_SIZE, self.wheel.size or PIECE_SIZE)
        self._asked = time.monotonic()
        body = self._connection.open(link, 0, wanted)
        try:
            self._judge_size(body)
            self._read(body, wanted)
        finally:
            body.close()

    def _judge_size(self, body: Body) -> None:
        size = self.wheel.size
        if body.total is not None and size is not None and body.total != size:
            raise MirrorFailure("wrong", f"its file has {body.total} bytes, the lock says {size}")

    def _read(self, body: Body, wanted: int) -> None:
        digest, memory = hashlib.sha256(), memoryview(bytearray(_READ))
        while self._received < wanted and (count := body.read_into(memory[: wanted - self._received])):
            self._last = time.monotonic()
            self._first = self._first or self._last
            digest.update(memory[:count])
            self._received += count
        self._done = True
        if self._received < wanted and self.wheel.size:
            raise MirrorFailure("broken", f"its answer ended after {self._received} of {wanted} bytes")
        if self.wheel.pieces and digest.hexdigest() != self.wheel.pieces[0]:
            raise MirrorFailure("wrong", "it sends other bytes than the lock's")
