"""What checks read of a card through NVML: an answer, or a skip that says why there is none and whether that is an excuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from paddle_bootstrap.harness.devices import Device, devices
from paddle_bootstrap.host import neighbours, readings
from paddle_bootstrap.host.facts import Abandoned, HostFacts, Late, Unknown, Unsupported
from paddle_bootstrap.host.rootfs import root_from

NO_PERMISSION = 4  # NVML's return code

Sweep = Mapping[int, Mapping[str, Any]]  # NVML index -> name of a reading -> its value, Unsupported or Unknown


class NotSupported(pytest.skip.Exception):  # type: ignore[name-defined, misc]  # pytest hides the class in an attribute
    """The card or its driver has no such thing: that excuses the check."""


@dataclass
class Sweeps:
    """All readings of all GPUs that are meant: taken once before the loads, and once after them."""

    environ: Mapping[str, str]
    facts: Callable[[], HostFacts]
    _taken: dict[str, Sweep] = field(default_factory=dict)
    _when: dict[str, float] = field(default_factory=dict)

    def first(self) -> Sweep:
        return self._sweep("first")

    def second(self) -> Sweep:
        return self._sweep("second")

    def seconds(self) -> float:
        """How long after the first sweep the second began."""
        self.first()
        self.second()
        return self._when["second"] - self._when["first"]

    def silent(self) -> dict[str, str]:
        """What does not answer in time, as far as it was asked: "gpu1", or "NVML" when it does not even begin. And how it
        showed: whoever loads such a card, or opens the driver, may wait for as long."""
        facts = self.facts()
        if isinstance(facts.gpus, Late):
            return {"NVML": facts.gpus.reason}
        return {f"gpu{index}": late.reason for index, late in self._late().items()}

    def _late(self) -> dict[int, Late]:
        """GPUs that did not answer when the facts or the first readings were taken: they are not waited for again."""
        told = {device.index: [device.gpu.uuid] for device in devices(self.facts()) if device.gpu}
        told |= {index: list(card.values()) for index, card in self._taken.get("first", {}).items()}
        late = {index: [value for value in values if isinstance(value, Late)] for index, values in told.items()}
        return {index: values[0] for index, values in late.items() if isinstance(index, int) and values}

    def _sweep(self, which: str) -> Sweep:
        if which not in self._taken:
            late = self._late()
            meant = [device.index for device in devices(self.facts()) if isinstance(device.index, int)]
            asked = [index for index in meant if index not in late]
            self._when[which] = time.monotonic()
            told = readings.sweep(self.environ, asked, without=late) if asked else {}
            told |= {index: readings.not_asked(why) for index, why in late.items()}
            self._taken[which] = {index: told[index] for index in meant}
        return self._taken[which]


class Reading:
    """The fixture ``reading`` of one card."""

    def __init__(self, sweeps: Sweeps, device: Device) -> None:
        self._sweeps, self._device = sweeps, device

    def __call__(self, name: str) -> Any:
        """The value of ``name``; without one the check is skipped."""
        value, label = self.raw(name), self._device.label
        if not isinstance(value, Unknown):
            return value
        if isinstance(value, Unsupported):
            raise NotSupported(f"it has no {name}: {value.reason}")
        if value.code == NO_PERMISSION and not isinstance(value, Abandoned):
            pytest.skip(f"{name} of {label} may not be read by this user: {value.reason}; run it as root")
        pytest.skip(f"{name} of {label} was not read: see nvml.answers[{label}]")

    def raw(self, name: str, index: int | str | None = None) -> Any:
        """The value, ``Unsupported`` or ``Unknown``; never a skip."""
        return self.all(index)[name]

    def all(self, index: int | str | None = None) -> Mapping[str, Any]:
        """Every reading of this card, or of the GPU with that index, as ``raw`` gives it."""
        return self._at(self._sweeps.first(), self._device.index if index is None else index)

    def others(self, name: str) -> dict[int, Any]:
        """What the other GPUs answered; those that did not are left out."""
        told = {index: card[name] for index, card in self._sweeps.first().items() if index != self._device.index}
        return {index: value for index, value in told.items() if not isinstance(value, Unknown)}

    def process(self, pid: int) -> neighbours.Process | None:
        """Who uses this card, when that is seen from here."""
        return neighbours.find(root_from(self._sweeps.environ), pid)

    def ours(self, pid: int) -> bool:
        """Is that process this tool, or one of its workers?"""
        return neighbours.ours(root_from(self._sweeps.environ), pid)

    def again(self) -> Mapping[str, Any]:
        """Every reading of this card anew, taken once after the loads. Skips where it did not answer before them."""
        if why := self._sweeps.silent().get(self._device.label):
            pytest.skip(f"{self._device.label} is not asked again ({why}): see nvml.answers[{self._device.label}]")
        return self._at(self._sweeps.second(), self._device.index)

    def seconds(self) -> float:
        """How much time lies between the readings and those of ``again``."""
        return self._sweeps.seconds()

    @staticmethod
    def _at(sweep: Sweep, index: int | str) -> Mapping[str, Any]:
        assert isinstance(index, int), "a GPU's reading was asked of a rehearsal on the CPU"
        return sweep[index]
