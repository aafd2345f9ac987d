"""What one check said and used while it ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from paddle_bootstrap.harness.clock import Clock
from paddle_bootstrap.harness.load import Load
from paddle_bootstrap.harness.pool import Seat
from paddle_bootstrap.results.model import Measurement

if TYPE_CHECKING:
    from paddle_bootstrap.harness.calls import Calls


@dataclass
class Notes:
    measurements: list[Measurement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    seats: set[tuple[str, Seat]] = field(default_factory=set)  # the pool's name, and the worker in it
    load: Load | None = None  # of the last call
    calls: Calls | None = None  # what made it
    busy: bool = False  # another process uses this check's GPU


notes_of = pytest.StashKey[Notes]()
clock_of = pytest.StashKey[Clock]()


def notes_on(item: pytest.Item) -> Notes:
    return item.stash.setdefault(notes_of, Notes())
