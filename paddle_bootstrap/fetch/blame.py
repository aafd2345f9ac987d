"""Who sent wrong bytes. Whoever did is not asked again in this run, and named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.arriving import EARLIER_RUN, Arriving, Doubt
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.lane import Lane


def accuse(lane: Lane, arriving: Arriving, said: str) -> None:
    """``lane`` sent other bytes than the lock's."""
    failure = MirrorFailure("wrong", said)
    lane.wrong_pieces += 1
    lane.lacks[arriving.wheel.filename] = failure
    if not lane.out or lane.out.kind != "wrong":
        lane.out = failure
        progress.warn(f"{arriving.wheel.filename}: {lane.source.mirror.redacted}: {said}; it is not asked again")


def doubt(arriving: Arriving, piece: int, data: bytes, lanes: Sequence[Lane]) -> None:
    """``piece`` is wrong: its one sender is named, or it is fetched again from one mirror alone to find out who it was."""
    blocks = arriving.blocks_of(piece)
    origins = tuple(arriving.origins[blocks.start : blocks.stop])
    senders = set(origins)
    if senders == {EARLIER_RUN}:
        progress.warn(f"{arriving.wheel.filename}: bytes left by an earlier run were wrong; they are fetched again")
    elif len(senders) == 1:
        accuse(
            lanes[senders.pop()], arriving, f"it delivers wrong bytes (piece {piece + 1} of {len(arriving.verified)})"
        )
    else:
        arriving.doubts[piece] = Doubt(data, origins)
    arriving.forget(piece)


def settle(arriving: Arriving, piece: int, data: bytes, lanes: Sequence[Lane]) -> None:
    """``piece`` is right now: where it differs from what it was before, the sender of that is known."""
    before = arriving.doubts.pop(piece, None)
    if before is None:
        return
    liars = {
        origin
        for index, origin in enumerate(before.origins)
        if data[index * BLOCK : (index + 1) * BLOCK] != before.data[index * BLOCK : (index + 1) * BLOCK]
    }
    for liar in liars - {EARLIER_RUN}:
        accuse(lanes[liar], arriving, f"it delivers wrong bytes (piece {piece + 1} of {len(arriving.verified)})")


def whole_file(arriving: Arriving, lanes: Sequence[Lane]) -> None:
    """Every byte is there, and the sha256 is wrong, and the lock has no digests of pieces.

    One mirror alone may now deliver the file, the one that has delivered most of it: then either the file is right, and
    comparing shows who lied, or that mirror did.
    """
    senders = Counter(arriving.origins)
    if len(senders) == 1:
        origin = next(iter(senders))
        if origin == EARLIER_RUN:
            progress.warn(f"{arriving.wheel.filename}: bytes left by an earlier run were wrong; it is fetched again")
        else:
            found = arriving.digest.hexdigest()
            accuse(lanes[origin], arriving, f"it delivers sha256 {found}, the lock says {arriving.wheel.sha256}")
        arriving.only = None
        arriving.forget_blocks(range(len(arriving.states)))
    else:
        able = [
            origin for origin, _ in senders.most_common() if origin >= 0 and lanes[origin].can_serve(arriving.wheel)
        ]
        if arriving.suspects is None:
            arriving.suspects = _digests(arriving)
        arriving.only = able[0] if able else None
        arriving.forget_blocks(
            block for block, origin in enumerate(arriving.origins) if not able or origin != arriving.only
        )
    arriving.start_over()


def settle_whole(arriving: Arriving, lanes: Sequence[Lane]) -> None:
    """The file is right: where it differs from its first form, the sender of that is known."""
    if arriving.suspects is None:
        return
    now = _digests(arriving)
    liars = {origin for (before, origin), (after, _) in zip(arriving.suspects, now, strict=True) if before != after}
    for liar in liars - {EARLIER_RUN}:
        accuse(lanes[liar], arriving, "it delivers wrong bytes")


def _digests(arriving: Arriving) -> list[tuple[bytes, int]]:
    """A digest of each block, and its sender."""
    found = []
    for piece in range(len(arriving.verified)):
        data = arriving.read(piece)
        for index, block in enumerate(arriving.blocks_of(piece)):
            part = data[index * BLOCK : (index + 1) * BLOCK]
            found.append((hashlib.blake2b(part, digest_size=16).digest(), arriving.origins[block]))
    return found
