"""The fixtures ``measure`` and ``speed``: numbers with their floors, judged, with what the GPU did meanwhile beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import pytest

from paddle_bootstrap.harness.baselines import Baselines, with_site
from paddle_bootstrap.harness.devices import Device, device_of
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.floors import Judgement, context_of, judge
from paddle_bootstrap.harness.models import card_of
from paddle_bootstrap.harness.notes import notes_on
from paddle_bootstrap.harness.readings import Reading
from paddle_bootstrap.harness.subject import Session
from paddle_bootstrap.results.model import Measurement


class Gauge:
    """Takes the measurements of one check."""

    def __init__(self, session: Session, item: pytest.Item) -> None:
        self._session, self._notes = session, notes_on(item)
        self._device = device_of(item)

    def measure(
        self, name: str, value: float, unit: str, others: Mapping[str, float] | None = None, *, judged: bool = True
    ) -> None:
        """Record ``value`` and judge it by its floor and by ``others``, the same of equal cards ({"gpu1": 771.0}).

        Raises CheckFailed below either; warns where it is close, or where no floor is known. A rehearsal on the CPU
        has no floors, a slice of a card (MIG) neither, nor an equal, and ``judged=False`` only records.
        """
        judgement = self._judged(name, value, unit, others) if judged else None
        self._record(name, value, unit, judgement)
        self._act(judgement)

    def speed(self, name: str, unit: str, call: Callable[..., Mapping[str, Any]], pick: str) -> Mapping[str, Any]:
        """``call()[pick]`` as a measurement, compared with the same call on equal cards; returns what ``call`` gave.

        A slow card is measured again alone, with ``call(alone=True)``: a neighbour may have been in its way.
        """
        got = call()
        calls = self._notes.calls
        told = calls.others() if calls else {}
        others = {label: given[pick] for label, given in told.items() if pick in given}  # the rest has only an error
        judgement = self._judged(name, got[pick], unit, others)
        if judgement and judgement.slow:
            self._record(f"{name}_together", got[pick], unit, None)
            got = call(alone=True)
            judgement = self._judged(name, got[pick], unit, others)
        self._record(name, got[pick], unit, judgement)
        self._act(judgement)
        return got

    def _judged(self, name: str, value: float, unit: str, others: Mapping[str, float] | None) -> Judgement | None:
        if not isinstance(self._device, Device) or self._device.gpu is None or self._device.gpu.mig is True:
            return None
        readings = Reading(self._session.sweeps, self._device).all()
        load = self._notes.load
        generation, width = (load.pcie_generation, load.pcie_width) if load else (None, None)
        context = context_of(readings, generation=generation, width=width)
        return judge(name, float(value), unit, card_of(readings), context, others, self._baselines)

    @cached_property
    def _baselines(self) -> Baselines:
        return with_site(self._session.options.baseline)

    def _record(self, name: str, value: float, unit: str, judgement: Judgement | None) -> None:
        floor = (judgement.floor, judgement.source, judgement.peers) if judgement else (None, None, None)
        load = str(self._notes.load or "") or None
        self._notes.measurements.append(Measurement(str(name), float(value), str(unit), *floor, load=load))

    def _act(self, judgement: Judgement | None) -> None:
        if judgement is None or judgement.outcome == "passed":
            return
        told = f"{judgement.text} ({self._notes.load})" if self._notes.load and judgement.slow else judgement.text
        if judgement.outcome == "warned":
            self._notes.warnings.append(told)
            return
        raise CheckFailed(
            told,
            measured=judgement.measured,
            expected=judgement.expected,
            likely=judgement.likely or None,
            fix=judgement.fix or None,
        )
