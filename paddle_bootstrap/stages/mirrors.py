"""Where a run fetches from."""

from __future__ import annotations

from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.stages.wish import Wish


def mirrors_of(wish: Wish) -> tuple[Mirror, ...]:
    """Where to fetch from, in order; nowhere for an offline run."""
    return () if wish.offline else configured(wish.mirrors, wish.environ, cwd=wish.cwd, tables=wish.mirror_tables)
