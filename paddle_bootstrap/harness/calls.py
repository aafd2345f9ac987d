"""How a check reaches workloads: the fixtures ``run`` (in the target) and ``cuda`` (the driver alone, in our own Python)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paddle_bootstrap.harness.channel import WorkloadBroken, WorkloadFailed
from paddle_bootstrap.harness.clock import Clock
from paddle_bootstrap.harness.devices import device_of, devices, family
from paddle_bootstrap.harness.load import Load
from paddle_bootstrap.harness.markers import level_of
from paddle_bootstrap.harness.models import card_of, equal
from paddle_bootstrap.harness.notes import Notes
from paddle_bootstrap.harness.pool import Pool, Seat
from paddle_bootstrap.harness.rounds import Answer
from paddle_bootstrap.harness.subject import Session, built_in_checks

if TYPE_CHECKING:
    import pytest

RUN_SECONDS = 60.0


class Calls:
    """``run("cnn.train", device=device.index, ...)``: on the check's own GPU it begins on all that are meant at once."""

    def __init__(self, session: Session, item: pytest.Item, pool: Pool | None, clock: Clock, notes: Notes) -> None:
        self._session, self._item, self._pool, self._clock, self._notes = session, item, pool, clock, notes
        self._own: Any = getattr(device_of(item), "index", None)
        self._load = level_of(item) != "quick"
        places = (item.path.parent, session.folder, built_in_checks())
        self._folders = tuple(dict.fromkeys(place / "workloads" for place in places))
        self._made: Counter[str] = Counter()  # calls of each kind: the same call may be made twice
        self._key = ""  # of the last round that was shared with the other GPUs
        self._last: Answer | None = None
        self._rested = False

    def __call__(
        self,
        workload: str,
        *,
        device: int | str | None = None,
        deadline: float = RUN_SECONDS,
        alone: bool = False,
        **arguments: Any,
    ) -> Any:
        """The workload's value. ``alone``: on this GPU only, while no other works.

        Raises WorkloadFailed: what happened inside; WorkloadBroken: the call could not be made.
        """
        try:
            with self._clock.paused():
                self._last = self._answer(workload, device, self._clock.deadline(deadline), alone, arguments)
        except (WorkloadFailed, WorkloadBroken) as failed:
            self._notes.evidence.update(failed.evidence)
            raise
        self._notes.load, self._notes.calls = self._last.load or self._notes.load, self
        return self._last.value

    def others(self) -> dict[str, Any]:
        """What the last shared call gave on the other GPUs of this one's model; those that failed are left out."""
        found: dict[str, Any] = {}
        gpus = {device.index: device.gpu for device in devices(self._session.facts()) if device.gpu}
        cards = {index: card_of({"name": gpu.name}) for index, gpu in gpus.items()}
        with self._clock.paused():
            for index, future in self._session.rounds.get(self._key).items():
                alike = index != self._own and equal(cards[index], cards[self._own])
                if alike and future.exception() is None:
                    found[f"gpu{index}"] = future.result().value
        return found

    def load(self) -> Load | None:
        """What this GPU did during the last call; None at level quick, or where nothing can be sampled."""
        return self._last.load if self._last else None

    def _answer(
        self, workload: str, device: int | str | None, deadline: float, alone: bool, arguments: Mapping[str, Any]
    ) -> Answer:
        if self._pool is None:
            raise WorkloadBroken(f"{workload}: there is no target yet, and so nothing to run it in", {})
        if not isinstance(device, int):
            self._notes.seats.add((self._pool.name, None))
            if self._load and not self._rested:
                self._session.rounds.finish()
                self._session.rest_all()  # what it starts gets the cards' memory, also those that take one process
                self._rested = True
            placed = {"device": device, **arguments} if device else arguments
            return Answer(self._pool.call(None, workload, self._folders, placed, deadline), None)
        self._notes.seats.add((self._pool.name, self._seat(device)))
        if alone:
            self._session.rounds.finish()
        shared = device == self._own and not alone
        told = [self._pool.name, family(self._item), None if shared else f"gpu{device} of {self._item.nodeid}"]
        key = json.dumps([*told, workload, arguments], sort_keys=True, default=str)
        self._made[key] += 1
        key += f" {self._made[key]}"
        if shared:
            self._key = key
        begun = self._session.rounds.get(key)
        if device not in begun:  # the first GPU's item begins it on all at once
            together = self._session.meant_now(self._item, load=self._load) if shared else set()
            self._begin(key, (together | {device}) - begun.keys(), workload, deadline, arguments)
        return self._session.rounds.get(key)[device].result()

    def _begin(self, key: str, indices: set[int], workload: str, deadline: float, arguments: Mapping[str, Any]) -> None:
        """Begin the call on each of these GPUs, in the worker of each."""
        pool = self._pool
        assert pool is not None
        ordinals = {device.index: device.ordinal for device in devices(self._session.facts())}
        if unknown := indices - ordinals.keys():
            raise WorkloadBroken(f"{workload}: there is no GPU {min(unknown)} among {sorted(ordinals)}", {})

        def call(index: int) -> Any:
            placed = {"device": ordinals[index], **arguments}
            return pool.call(self._seat(index), workload, self._folders, placed, deadline)

        if self._load:
            self._session.rest_other(pool)
        work = {index: lambda index=index: call(index) for index in sorted(indices)}
        self._session.rounds.begin(key, work, watched=self._load)

    def _seat(self, index: int) -> Seat:
        """Calls that name no GPU share the first GPU's worker: one import of Paddle less."""
        first = next((device.index for device in devices(self._session.facts())), None)
        return None if index == first else index
