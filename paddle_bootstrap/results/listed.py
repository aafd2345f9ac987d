"""What is known of a check before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from paddle_bootstrap.results.model import Level


@dataclass(frozen=True)
class Listed:
    """One check. ``id`` has no device in it."""

    id: str
    level: Level
    priority: int
    seconds: float  # on a healthy host, all GPUs at once
    per_gpu: float  # and for each GPU more
    needs: tuple[str, ...]
    title: str
