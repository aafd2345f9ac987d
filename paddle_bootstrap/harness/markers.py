"""What a check may be marked with: its level, its time, what it requires."""

from __future__ import annotations

import pytest

from paddle_bootstrap.results.model import Level

LEVELS: tuple[Level, ...] = ("quick", "standard", "deep")
CHECK_SECONDS = {"quick": 120.0, "standard": 600.0, "deep": 1800.0}  # of a check's own, unless marked otherwise
REQUIREMENTS = ("gpu",)
MARKERS = (
    "level(name): quick, standard or deep",
    "timeout(seconds): of the whole check, workloads included",
    "requires(what): 'gpu': not run on a rehearsal",
)


class BadMarker(Exception):
    """A check is marked with something nobody knows."""


def level_of(item: pytest.Item) -> Level:
    """An unmarked check is a quick one; so is one with an unknown level, which then ends in an error that says so."""
    marker = item.get_closest_marker("level")
    name = marker.args[0] if marker and marker.args else "quick"
    return name if name in LEVELS else "quick"


def require_known_markers(item: pytest.Item) -> None:
    for marker, known in (("level", LEVELS), ("requires", REQUIREMENTS)):
        for found in item.iter_markers(marker):
            if len(found.args) != 1 or found.args[0] not in known:
                given = ", ".join(map(repr, found.args))
                raise BadMarker(f"{marker}({given}): give one of {', '.join(known)}")
    for found in item.iter_markers("timeout"):
        if not (len(found.args) == 1 and isinstance(found.args[0], (int, float)) and found.args[0] > 0):
            raise BadMarker(f"timeout({', '.join(map(repr, found.args))}): give the seconds, a number above 0")
