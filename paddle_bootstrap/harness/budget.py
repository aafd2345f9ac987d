"""``--within``: which checks fit into the time that a scheduler gives, the most valuable first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paddle_bootstrap.harness.devices import family
from paddle_bootstrap.harness.markers import LEVELS, cost_of, level_of


def left_out(items: Sequence[pytest.Item], room: float, gpus: int) -> tuple[dict[str, str], float]:
    """The families of ``items`` that do not fit into ``room`` seconds, each with what it would need; and the seconds left.

    By level, then by priority, then in the order in which they run; one that is too long makes room for shorter ones.
    """
    families = {family(item): item for item in reversed(items)}
    found: dict[str, str] = {}
    for name, item in sorted(families.items(), key=lambda pair: _worth(pair[1], items)):
        cost = cost_of(item).of(gpus)
        if cost <= room:
            room -= cost
        else:
            found[name] = f"it needs {cost:g} s, and {round(max(room, 0), 1):g} s were left"
    return found, room


def _worth(item: pytest.Item, items: Sequence[pytest.Item]) -> tuple[int, int, int]:
    return LEVELS.index(level_of(item)), cost_of(item).priority, items.index(item)
