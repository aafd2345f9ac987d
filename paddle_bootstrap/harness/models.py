"""GPU models as data (``checks/gpus.toml``). An unknown model has no row, and no check needs one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.harness.subject import built_in_checks


@dataclass(frozen=True)
class Model:
    """One row. Rates are 10^9 bytes or 10^12 operations per second, dense; None: not published, or the card lacks it."""

    name: str  # without the maker's name
    pci_ids: tuple[str, ...]  # "2330": four hexadecimal digits
    memory_gb: float
    bandwidth_gbs: float
    pcie_generation: int
    pcie_width: int
    nvlink_links: int  # 0: none
    tdp_w: float
    source: tuple[str, ...]  # in words
    fp32: float | None = None
    tf32: float | None = None
    fp16: float | None = None  # bf16's too, where the card has it
    nvlink_gbs: float | None = None  # both directions together
    bridge: bool = False  # its links are there only where a bridge joins two cards
    mesh_peers: int | None = None  # cards that it reaches, where no switch joins them all
    unsure: bool = False  # its ids are recalled: they count only with the name


@dataclass(frozen=True)
class Card:
    """Which kind of GPU this is. None: could not be read."""

    pci_id: str | None  # "2330"
    name: str | None  # as NVML has it

    @property
    def model(self) -> Model | None:
        return model_of(self.pci_id, self.name)

    @property
    def label(self) -> str:
        """How reports name the kind."""
        return self.name or (f"PCI id {self.pci_id}" if self.pci_id else "a GPU of unknown model")


@dataclass(frozen=True)
class Table:
    """The whole file."""

    models: tuple[Model, ...]
    prefixes: tuple[str, ...]  # what drivers put before a model's name
    virtual: re.Pattern[str]  # what only virtual GPUs' names hold
    lanes: Mapping[int, float]  # PCIe generation -> 10^9 bytes per second of one lane, one way


def model_of(pci_id: object, name: object = None) -> Model | None:
    """The model with this PCI device id, or None. Both arguments may be whatever a reading gave, ``Unknown`` too.

    An unsure id counts only when ``name`` fits; without a name it does not. A virtual GPU has the id of its card, and is
    only a part of it.
    """
    if isinstance(name, str) and table().virtual.search(name):
        return None
    found = next(
        (model for model in table().models if isinstance(pci_id, str) and pci_id.lower() in model.pci_ids), None
    )
    if found and found.unsure and plain(name) != found.name:
        return None
    return found


def named(name: object) -> Model | None:
    """The only model with this name, as NVML has it: for results that hold no PCI device id."""
    found = [model for model in table().models if model.name == plain(name)]
    return found[0] if len(found) == 1 else None


def plain(name: object) -> str | None:
    """A model's name without the maker's, which not every driver says."""
    if not isinstance(name, str):
        return None
    for prefix in table().prefixes:
        name = name.removeprefix(prefix)
    return name


def card_of(readings: Mapping[str, Any]) -> Card:
    """The card with these readings (``pci_device_id``, ``name``)."""
    pci_id, name = readings.get("pci_device_id"), readings.get("name")
    return Card(pci_id.lower() if isinstance(pci_id, str) else None, name if isinstance(name, str) else None)


def equal(a: Card, b: Card) -> bool:
    """Whether what one measures tells something of the other: the same id, else the same name; two unknown ones are not."""
    if a.pci_id and b.pci_id:
        return a.pci_id == b.pci_id
    return a.name is not None and plain(a.name) == plain(b.name)


@cache
def table() -> Table:
    """``checks/gpus.toml``, read once."""
    data = toml.read(built_in_checks() / "gpus.toml")
    prefixes = tuple(data["names"]["prefixes"])
    lanes = {int(generation): rate for generation, rate in data["pcie"]["lane_gbs"].items()}
    models = tuple(_model(row, data["sources"], prefixes) for row in data["gpu"])
    return Table(models, prefixes, re.compile(data["names"]["virtual"]), lanes)


def _model(row: Mapping[str, Any], sources: Mapping[str, str], prefixes: tuple[str, ...]) -> Model:
    known = {field.name for field in fields(Model)}
    if unknown := row.keys() - known:
        raise ValueError(f"gpus.toml: {row.get('name')}: unknown keys {sorted(unknown)}")
    name = str(row["name"])
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    told = {
        "name": name,
        "pci_ids": tuple(row["pci_ids"]),
        "source": tuple(sources[letter] for letter in row["source"]),
    }
    return Model(**{**row, **told})
