"""Equal cards that were given the same work: who stands alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Standing:
    """Labels of the other cards that gave the same, and of those that did not."""

    same: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def odd(self) -> bool:
        """Most cards gave something else; of two that differ nobody knows which is right, so both are."""
        return bool(self.different) and len(self.same) + 1 <= len(self.different)


def standing(own: Any, others: Mapping[str, Any], alike: Callable[[Any, Any], bool] = operator.eq) -> Standing:
    same = tuple(label for label, value in others.items() if alike(own, value))
    return Standing(same, tuple(label for label in others if label not in same))
