"""Who delivered what, and why not: from this come the records of a fetch, and what a failure means for its mirror."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.arriving import Arriving
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import LIVELY, Lane
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.sharing import Run
from paddle_bootstrap.fetch.transfer import Brought, Outcome, TransferRecord
from paddle_bootstrap.lock.model import Wheel

REFUSALS = (
    2  # files in a row that a mirror refused: it will refuse the rest too, and asking on is what gets hosts banned
)
TOLD = ("refused", "limited")  # kinds of failure in which a mirror says what it wants
LONGEST_PAUSE = 4.0  # seconds between attempts
GOES_ON = 0.1  # seconds: connections of one mirror do not all break in the same moment


@dataclass
class Part:
    """One mirror's part in one file."""

    bytes: int = 0
    began: float = 0.0
    ended: float = 0.0
    failures: int = 0  # in a row, without progress
    failed_at: float = 0.0  # monotonic: when the last of them was counted
    again_at: float = 0.0  # monotonic: what was asked for before this tells nothing that is not known
    asked: bool = False
    errors: int = 0
    reason: str = ""  # of the last of them
    open: int = 0  # requests at this moment
    most: int = 0  # of them at once


class Ledger:
    """Who changes it holds the board's lock."""

    def __init__(self, lanes: Sequence[Lane], patience: Patience) -> None:
        self.lanes = lanes
        self.patience = patience
        self._parts: dict[tuple[str, int], Part] = {}

    def begin(self, run: Run) -> None:
        """``run`` is about to be asked for."""
        part = self._part(run.arriving.wheel, run.line.lane)
        part.began = part.began or time.monotonic()
        part.asked = True
        part.open += 1
        part.most = max(part.most, part.open)

    def end(self, run: Run, delivered: int) -> None:
        """``run`` has ended after ``delivered`` bytes, of which it may have gained fewer."""
        part = self._part(run.arriving.wheel, run.line.lane)
        part.open -= 1
        part.ended = time.monotonic()
        part.bytes += delivered
        if run.gained >= self.patience.progress or run.learned:
            part.failures = 0
        if run.gained >= self.patience.progress:
            run.line.lane.refusals = 0

    def judge(self, run: Run, failure: MirrorFailure) -> float:
        """What a failure means for its mirror; returns how many seconds its connection should wait."""
        lane, wheel = run.line.lane, run.arriving.wheel
        part = self._part(wheel, lane)
        part.errors, part.reason = part.errors + 1, failure.reason
        if self._is_extra(run, part, failure):
            lane.slow_down(told=failure.kind in TOLD)
            return 0.0
        if failure.kind == "unreachable" and not (failure.retry and lane.meter.total):
            self._drop(lane, wheel, failure)
        elif failure.kind in ("missing", "wrong"):
            self._lack(lane, wheel, failure)
        elif failure.kind == "refused" and lane.can_serve(wheel):
            lane.refusals += 1
            self._lack(lane, wheel, failure)
            if lane.refusals >= REFUSALS:
                self._drop(lane, wheel, failure)
        elif failure.kind in ("limited", "broken", "unreachable"):
            return self._again(run, part, failure)
        return 0.0

    def excuse(self, run: Run, failure: MirrorFailure) -> None:
        """A connection failed that is not needed: its mirror goes on by others."""
        self._part(run.arriving.wheel, run.line.lane).errors += 1
        progress.note(
            f"{run.arriving.wheel.filename}: {run.line.lane.source.mirror.redacted}: {failure.reason}; replaced"
        )

    def _is_extra(self, run: Run, part: Part, failure: MirrorFailure) -> bool:
        """The mirror serves others of our connections and does not want this one."""
        line, lane = run.line, run.line.lane
        others = [other for other in lane.lines if other is not line and other.asked_at is not None]
        if failure.kind in TOLD or (failure.kind == "unreachable" and not lane.meter.total):
            same = [other for other in others if other.busy_with == run.arriving.wheel.filename]
            return bool(same or (others and part.bytes))
        if failure.kind not in ("unreachable", "broken") or line.heard > run.began:
            return False
        # not a mirror that was restarted: requests from before the last failure have gone on since
        goes_on = part.failed_at + GOES_ON
        return part.failures > 0 and any(
            (other.asked_at or 0.0) < part.failed_at < goes_on < other.heard for other in others
        )

    def _again(self, run: Run, part: Part, failure: MirrorFailure) -> float:
        """Once for all connections that fail together, and with a pause that grows."""
        lane, wheel, now = run.line.lane, run.arriving.wheel, time.monotonic()
        limited, counts = failure.kind == "limited", run.began > part.again_at
        part.failures += counts
        if not failure.retry or (part.failures > self.patience.retries and not self._is_hoped_for(run, now)):
            (self._lack if failure.kind == "broken" else self._drop)(lane, wheel, failure)
            return 0.0
        if counts:
            pause = min(LONGEST_PAUSE, self.patience.pause * 2 ** (part.failures - 1))
            if failure.kind == "broken" and part.failures == 1:
                pause = 0.0
            if failure.wait is not None:
                pause = failure.wait
            part.failed_at, part.again_at = now, now + pause
            progress.note(f"{wheel.filename}: {lane.source.mirror.redacted}: {failure.reason}; asked again")
            if limited or not any(now - line.heard < LIVELY for line in lane.lines):
                lane.rest(pause)
        return 0.0 if limited else max(0.0, part.again_at - now)

    def _is_hoped_for(self, run: Run, now: float) -> bool:
        """Its mirror does not answer, has brought something not long ago, and is the only one that has the file."""
        lane, wheel = run.line.lane, run.arriving.wheel
        others = any(other is not lane and other.can_serve(wheel) for other in self.lanes)
        return not others and run.line.heard <= run.began and now - lane.brought < self.patience.read

    def _lack(self, lane: Lane, wheel: Wheel, failure: MirrorFailure) -> None:
        if lane.can_serve(wheel):
            lane.lacks[wheel.filename] = failure
            tell = progress.note if failure.kind == "missing" else progress.warn
            tell(f"{wheel.filename}: {lane.source.mirror.redacted}: {failure.reason}")

    def _drop(self, lane: Lane, wheel: Wheel, failure: MirrorFailure) -> None:
        if lane.out is None:
            lane.out = failure
            reason = f"{lane.source.mirror.redacted}: {failure.reason}; it is not asked again"
            others = any(other.meter.total for other in self.lanes)  # then nobody needs to do anything about it
            tell = progress.note if others and failure.kind == "unreachable" else progress.warn
            tell(f"{wheel.filename}: {reason}")

    def brought(self, arrivings: Sequence[Arriving], unsized: Sequence[Wheel]) -> Brought:
        """Every mirror's part in every file that it was asked for, or would have been; none told ``unsized`` files' size."""
        records = [
            record
            for arriving in arrivings
            for lane in self.lanes
            if (record := self._record(arriving, lane)) is not None
        ]
        for wheel in unsized:
            for lane in self.lanes:
                if failure := lane.lacks.get(wheel.filename) or lane.out:
                    records.append(
                        TransferRecord(
                            wheel.filename, lane.source.mirror.redacted, 0, 0, 0.0, _outcome(failure), failure.reason
                        )
                    )
        missing = tuple(arriving.wheel for arriving in arrivings if not arriving.right)
        return Brought(tuple(records), (*missing, *unsized))

    def _record(self, arriving: Arriving, lane: Lane) -> TransferRecord | None:
        wheel = arriving.wheel
        part = self._parts.get((wheel.filename, lane.number), Part())
        failure = lane.lacks.get(wheel.filename) or (None if part.bytes and arriving.right else lane.out)
        if not part.asked and (arriving.right or failure is None):
            return None
        outcome: Outcome = "fetched"
        if failure:
            outcome = _outcome(failure) if part.asked else "skipped"
        elif not part.bytes:
            if not part.errors:
                return None
            outcome = "failed"  # it might have come to its senses: others were quicker
        seconds = round(part.ended - part.began, 3)
        reason = failure.reason if failure else part.reason if outcome == "failed" else None
        return TransferRecord(
            wheel.filename,
            lane.source.mirror.redacted,
            part.bytes,
            arriving.resumed,
            seconds,
            outcome,
            reason,
            connections=part.most,
            errors=part.errors,
            wrong_pieces=lane.wrong_pieces[wheel.filename],
        )

    def _part(self, wheel: Wheel, lane: Lane) -> Part:
        return self._parts.setdefault((wheel.filename, lane.number), Part())


def _outcome(failure: MirrorFailure) -> Outcome:
    if failure.kind == "wrong":
        return "wrong"
    return "missing" if failure.kind == "missing" else "failed"
