"""Which mirror is the fastest from here, for the file that matters."""

from __future__ import annotations

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.rank import rank
from paddle_bootstrap.lock.model import PIECE_SIZE, Wheel
from paddle_bootstrap.mirrors import ranking
from paddle_bootstrap.mirrors.ranking import Measured
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.plan import plan_fetch
from paddle_bootstrap.stages.wish import Wish


def rank_mirrors(wish: Wish) -> tuple[Wheel, tuple[Measured, ...]]:
    """The lock's biggest wheel, and how each mirror serves it, best first. Remembered, unless mirrors were named."""
    plan = plan_fetch(wish)
    wheel = max(plan.selection.wheels, key=lambda wheel: wheel.size or 0)
    mirrors = mirrors_of(wish)
    size = progress.human_bytes(min(wheel.size or PIECE_SIZE, PIECE_SIZE))
    progress.step(f"asking {len(mirrors)} mirrors for the first {size} of {wheel.filename}")
    folder = plan.lock.build.index_folder if plan.lock.build else None
    trusted = wish.terms.trusted_hosts
    found = rank(wheel, mirrors, build=folder, environ=wish.environ, trusted_hosts=trusted)
    if not wish.mirrors:
        ranking.remember(found, wish.environ)
    return wheel, found
