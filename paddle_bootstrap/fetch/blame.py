"""Who sent wrong bytes. Whoever did is not asked again in this run, and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.arriving import EARLIER_RUN, Arriving, Doubt
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import Lane


def accuse(lane: Lane, arriving: Arriving, said: str) -> None:
    """``lane`` sent other bytes than the lock's."""
    failure = MirrorFailure("wrong", said)
    lane.wrong_pieces[arriving.wheel.filename] += 1
    lane.lacks[arriving.wheel.filename] = failure
    arriving.liars += 1
    if not lane.lied:
        lane.out = failure
        progress.warn(f"{arriving.wheel.filename}: {lane.source.mirror.redacted}: {said}; it is not asked again")


def wrong_piece(arriving: Arriving, piece: int, prints: list[bytes], lanes: Sequence[Lane]) -> None:
    """``piece`` is wrong: its one sender is named, or one mirror alone delivers it once more to show who it was.

    What came from a mirror that has been named before is suspected first, and fetched again alone.
    """
    blocks = arriving.blocks_of(piece)
    origins = arriving.origins[blocks.start : blocks.stop]
    senders = set(origins)
    named = {origin for origin in senders - {EARLIER_RUN} if lanes[origin].lied}
    if len(senders) > 1 and named:
        arriving.doubts.pop(piece, None)
        arriving.forget(block for block, origin in zip(blocks, origins, strict=True) if origin in named)
        return
    if len(senders) > 1:
        arriving.doubt(piece, Doubt(prints, origins))
        return
    arriving.doubts.pop(piece, None)  # whoever else was suspected: nothing can be shown any more
    if senders == {EARLIER_RUN}:
        progress.warn(f"{arriving.wheel.filename}: bytes left by an earlier run were wrong; they are fetched again")
    else:
        accuse(lanes[senders.pop()], arriving, _piece(arriving, piece))
    arriving.forget(blocks)


def right_piece(arriving: Arriving, piece: int, prints: list[bytes], lanes: Sequence[Lane]) -> None:
    """``piece`` is right now: where it differs from what it was before, the sender of that is known."""
    arriving.verified[piece] = 1
    before = arriving.doubts.pop(piece, None)
    if before is None:
        return
    pairs = zip(before.prints, prints, before.origins, strict=True)
    for liar in {origin for old, new, origin in pairs if old != new} - {EARLIER_RUN}:
        accuse(lanes[liar], arriving, _piece(arriving, piece))


def _piece(arriving: Arriving, piece: int) -> str:
    return f"it delivers wrong bytes (piece {piece + 1} of {len(arriving.verified)})"


def whole_file(arriving: Arriving, lanes: Sequence[Lane]) -> None:
    """Every byte is there, and the sha256 is wrong, and the lock has no digests of pieces.

    One mirror alone may now deliver the file, the one that has delivered most of it: then either the file is right, and
    comparing shows who lied, or that mirror did.
    """
    senders = Counter(arriving.origins)
    arriving.only = None
    if len(senders) == 1:
        origin = next(iter(senders))
        if origin == EARLIER_RUN:
            progress.warn(f"{arriving.wheel.filename}: bytes left by an earlier run were wrong; it is fetched again")
        else:
            found = arriving.digest.hexdigest()
            accuse(lanes[origin], arriving, f"it delivers sha256 {found}, the lock says {arriving.wheel.sha256}")
        arriving.forget(range(len(arriving.states)))
    else:
        able = [
            origin for origin, _ in senders.most_common() if origin >= 0 and lanes[origin].can_serve(arriving.wheel)
        ]
        arriving.only = able[0] if able else None
        arriving.forget(block for block, origin in enumerate(arriving.origins) if not able or origin != able[0])
    arriving.start_over()


def settle_whole(arriving: Arriving, prints: Sequence[bytes], lanes: Sequence[Lane]) -> None:
    """The file is right: where it differs from its first form, the sender of that is known."""
    pairs = zip(arriving.suspects, prints, strict=True)
    for liar in {origin for (before, origin), after in pairs if before != after} - {EARLIER_RUN}:
        if not lanes[liar].lied:
            accuse(lanes[liar], arriving, "it delivers wrong bytes")
