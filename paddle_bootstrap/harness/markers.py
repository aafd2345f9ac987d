"""What a check may be marked with: its level, its time, what it requires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from paddle_bootstrap.results.model import Level

LEVELS: tuple[Level, ...] = ("quick", "standard", "deep")
CHECK_SECONDS = {"quick": 120.0, "standard": 600.0, "deep": 1800.0}  # of a check's own, unless marked otherwise
REQUIREMENTS = ("gpu",)
MARKERS = (
    "level(name, seconds=, per_gpu=, priority=): quick, standard or deep; what it costs on a healthy GPU, and its worth",
    "timeout(seconds): of the whole check, workloads included",
    "requires(what): 'gpu': not run on a rehearsal",
)


@dataclass(frozen=True)
class Cost:
    """What a check takes on a healthy host, all GPUs at once, and what it is worth."""

    seconds: float
    per_gpu: float  # more seconds for each GPU, where they take turns
    priority: int  # 1: a host that fails it is of no use; 3: good to know

    def of(self, gpus: int) -> float:
        """Seconds on a host with so many GPUs."""
        return self.seconds + self.per_gpu * gpus


USUAL = {"quick": Cost(0.05, 0.0, 2), "standard": Cost(5.0, 0.0, 2), "deep": Cost(60.0, 0.0, 2)}


class BadMarker(Exception):
    """A check is marked with something nobody knows."""


def level_of(item: pytest.Item) -> Level:
    """An unmarked check is a quick one; so is one with an unknown level, which then ends in an error that says so."""
    marker = item.get_closest_marker("level")
    name = marker.args[0] if marker and marker.args else "quick"
    return name if name in LEVELS else "quick"


def cost_of(item: pytest.Item) -> Cost:
    """What ``level`` says, or what is usual for that level; what it says wrongly is told where the check is run."""
    marker, usual = item.get_closest_marker("level"), USUAL[level_of(item)]
    told: Mapping[str, Any] = marker.kwargs if marker else {}
    return Cost(
        **{
            name: told[name] if isinstance(told.get(name), kind) else getattr(usual, name)
            for name, kind in _COSTS.items()
        }
    )


_COSTS: Mapping[str, Any] = {"seconds": (int, float), "per_gpu": (int, float), "priority": int}


def require_known_markers(item: pytest.Item) -> None:
    for found in item.iter_markers("level"):
        for name, value in found.kwargs.items():
            kind = _COSTS.get(name)
            if kind is None or not isinstance(value, kind) or value < 0:
                raise BadMarker(f"level({name}={value!r}): give {', '.join(_COSTS)} as numbers")
    for marker, known in (("level", LEVELS), ("requires", REQUIREMENTS)):
        for found in item.iter_markers(marker):
            if len(found.args) != 1 or found.args[0] not in known:
                given = ", ".join(map(repr, found.args))
                raise BadMarker(f"{marker}({given}): give one of {', '.join(known)}")
    for found in item.iter_markers("timeout"):
        if not (len(found.args) == 1 and isinstance(found.args[0], (int, float)) and found.args[0] > 0):
            raise BadMarker(f"timeout({', '.join(map(repr, found.args))}): give the seconds, a number above 0")
