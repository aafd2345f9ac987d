"""One call on several GPUs at once: begun together, watched while it works, its answers kept for those that compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from paddle_bootstrap.harness.load import Load, load_of
from paddle_bootstrap.harness.pool import begin
from paddle_bootstrap.host import sampling

SETTLE_SECONDS = 5.0  # at most; DCGM#272: bandwidth falls just after a burn
SETTLE_SHARE = 0.15  # of the time that the load took: a short one heats little
Work = Callable[[], Any]


@dataclass(frozen=True)
class Answer:
    """What a workload returned, and what its GPU did meanwhile."""

    value: Any
    load: Load | None


@dataclass
class Rounds:
    """``watched`` rounds are loads: their GPUs are sampled, and before the next one they settle."""

    environ: Mapping[str, str]
    _begun: dict[str, dict[int, Future[Answer]]] = field(default_factory=dict)
    _rest: float = 0.0  # seconds that the last load lasted
    _ended: float = 0.0

    def get(self, key: str) -> Mapping[int, Future[Answer]]:
        """By NVML index; empty when it was not begun."""
        return self._begun.get(key, {})

    def begin(self, key: str, work: Mapping[int, Work], *, watched: bool) -> None:
        """Begin ``work`` of each GPU in a thread of its own."""
        if watched:
            self._settle()
        one = self._watched if watched else self._plain
        self._begun.setdefault(key, {}).update((index, begin(one, index, call)) for index, call in work.items())

    def finish(self) -> None:
        """Wait for whatever is still at work; each call has its deadline."""
        wait([future for found in self._begun.values() for future in found.values()])

    def _settle(self) -> None:
        left = self._ended + min(self._rest * SETTLE_SHARE, SETTLE_SECONDS) - time.monotonic()
        if left > 0:
            time.sleep(left)

    @staticmethod
    def _plain(_index: int, call: Work) -> Answer:
        return Answer(call(), None)

    def _watched(self, index: int, call: Work) -> Answer:
        sampler = sampling.start(self.environ, index)
        began = time.monotonic()
        try:
            value = call()
        finally:
            samples = sampler.stop()
            self._ended = time.monotonic()
            self._rest = self._ended - began
        return Answer(value, load_of(samples))
