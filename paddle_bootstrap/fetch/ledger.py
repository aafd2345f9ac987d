"""Who delivered what, and why not: from this come the records of a fetch, and what a failure means for its mirror."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.board import Run
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import Lane
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.transfer import Brought, Outcome, TransferRecord
from paddle_bootstrap.lock.model import Wheel

REFUSALS = (
    2  # files in a row that a mirror refused: it will refuse the rest too, and asking on is what gets hosts banned
)


@dataclass
class Part:
    """One mirror's part in one file."""

    bytes: int = 0
    began: float = 0.0
    ended: float = 0.0
    failures: int = 0  # in a row, without progress
    asked: bool = False


class Ledger:
    """Who changes it holds the board's lock."""

    def __init__(self, lanes: Sequence[Lane], patience: Patience) -> None:
        self.lanes = lanes
        self.patience = patience
        self._parts: dict[tuple[str, int], Part] = {}

    def note(self, run: Run, delivered: int, began: float) -> None:
        """``run`` has ended after ``delivered`` bytes, of which it may have gained fewer."""
        part = self._part(run.arriving.wheel, run.line.lane)
        part.began = part.began or began
        part.ended = time.monotonic()
        part.bytes += delivered
        part.asked = True
        if run.gained >= self.patience.progress:
            part.failures = run.line.lane.refusals = 0

    def judge(self, run: Run, failure: MirrorFailure) -> float:
        """What a failure means for its mirror; returns how many seconds its connection should wait."""
        lane, wheel = run.line.lane, run.arriving.wheel
        part = self._part(wheel, lane)
        lane.errors += 1
        others = [line for line in lane.lines if line is not run.line and line.meter.total]
        if failure.kind in ("refused", "limited", "unreachable") and others:
            lane.slow_down(failure.wait)  # it serves the connections that it has: those are enough
            return 0.0
        if failure.kind == "unreachable":
            self._drop(lane, wheel, failure)
        elif failure.kind in ("missing", "wrong"):
            self._lack(lane, wheel, failure)
        elif failure.kind == "refused":
            lane.refusals += 1
            self._lack(lane, wheel, failure)
            if lane.refusals >= REFUSALS:
                self._drop(lane, wheel, failure)
        else:
            return self._again(lane, wheel, part, failure)
        return 0.0

    def _again(self, lane: Lane, wheel: Wheel, part: Part, failure: MirrorFailure) -> float:
        part.failures += 1
        if not failure.retry or part.failures > self.patience.retries:
            if failure.kind == "limited":
                self._drop(lane, wheel, failure)
            else:
                self._lack(lane, wheel, failure)
            return 0.0
        progress.note(f"{wheel.filename}: {lane.source.mirror.redacted}: {failure.reason}; asked again")
        pause = self.patience.pause * 2 ** (part.failures - 1)
        if failure.kind == "limited":
            lane.rest(failure.wait if failure.wait is not None else pause)
            return 0.0
        return pause if part.failures > 1 or failure.kind != "broken" else 0.0

    def _lack(self, lane: Lane, wheel: Wheel, failure: MirrorFailure) -> None:
        if lane.can_serve(wheel):
            lane.lacks[wheel.filename] = failure
            tell = progress.note if failure.kind == "missing" else progress.warn
            tell(f"{wheel.filename}: {lane.source.mirror.redacted}: {failure.reason}")

    def _drop(self, lane: Lane, wheel: Wheel, failure: MirrorFailure) -> None:
        if lane.out is None:
            lane.out = failure
            reason = f"{lane.source.mirror.redacted}: {failure.reason}; it is not asked again"
            progress.warn(f"{wheel.filename}: {reason}")

    def finished(self, arriving: Arriving) -> None:
        progress.transfer(arriving.wheel.filename, arriving.size, arriving.size)

    def brought(self, arrivings: Sequence[Arriving]) -> Brought:
        """Every mirror's part in every file that it was asked for, or would have been."""
        records = [
            record
            for arriving in arrivings
            for lane in self.lanes
            if (record := self._record(arriving, lane)) is not None
        ]
        return Brought(tuple(records), tuple(arriving.wheel for arriving in arrivings if not arriving.named))

    def _record(self, arriving: Arriving, lane: Lane) -> TransferRecord | None:
        wheel = arriving.wheel
        part = self._parts.get((wheel.filename, lane.number), Part())
        failure = lane.lacks.get(wheel.filename) or (None if part.bytes and arriving.named else lane.out)
        if not part.asked and (arriving.named or failure is None):
            return None
        outcome: Outcome = "fetched"
        if failure:
            outcome = failure.kind if failure.kind in ("wrong", "missing") else "failed"
            outcome = outcome if part.asked else "skipped"
        elif not part.bytes:
            return None
        seconds = round(part.ended - part.began, 3)
        reason = failure.reason if failure else None
        return TransferRecord(
            wheel.filename, lane.source.mirror.redacted, part.bytes, arriving.resumed, seconds, outcome, reason
        )

    def _part(self, wheel: Wheel, lane: Lane) -> Part:
        return self._parts.setdefault((wheel.filename, lane.number), Part())
