"""Floors as data: those made from published values (``checks/baselines``), and a site's own (``baseline record``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.models import Card, Model, model_of, named, plain
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.mirrors.tables import nearest

VERSION = 1
REQUIRED: Mapping[str, Any] = {"name": str, "unit": str, "floor": (int, float)}
_NUMBER = (int, float)
_KEYS: Mapping[str, Any] = {
    **REQUIRED,
    "model": str,
    "pci_id": str,
    "n": int,
    "median": _NUMBER,
    "min": _NUMBER,
    "max": _NUMBER,
    "mad": _NUMBER,
    "rule": str,
    "warn": bool,
}
_HINT = "make one: paddle-bootstrap baseline record --results FILE..."


@dataclass(frozen=True)
class Limits:
    """``[floors]`` of limits.toml, where each number has its source."""

    published: float
    relative_warns: float
    relative_fails: float
    recorded: float
    recorded_least: int
    specification_least: float
    specification_most: float
    power: float
    smaller_is_better: tuple[str, ...]


@dataclass(frozen=True)
class Floor:
    """What a measurement must reach on one model; for times, what it must not exceed."""

    value: float
    unit: str
    source: str
    warns: bool = False  # a breach warns and never fails
    powered: bool = True  # it does not apply where somebody has lowered the power limit


@dataclass(frozen=True)
class Share:
    """A floor as a share of what the card or its link could do: ``of`` is memory or pcie."""

    name: str
    of: str
    unit: str
    source: str
    fails: float | None = None
    warns: float | None = None
    models: tuple[str, ...] = ()  # none: every one
    without_floor: bool = False  # only where the model has no floor of its own
    powered: bool = True


@dataclass(frozen=True)
class Baselines:
    """All floors of a run. A site's own come before published ones, and before shares."""

    published: Mapping[tuple[str, str], Floor]  # (model, measurement)
    shares: tuple[Share, ...]
    units: Mapping[str, str]  # measurement -> its unit
    columns: Mapping[str, str]  # measurement -> what of a model is its specification
    site: Mapping[tuple[str, str], Floor]  # (PCI device id or model, measurement)
    limits: Limits

    def specification(self, model: Model | None, name: str) -> float | None:
        """What the data sheet says: floors are held against it, measurements are not."""
        return getattr(model, self.columns[name]) if model and name in self.columns else None

    def sane(self, floor: float, specification: float) -> bool:
        """Whether ``floor`` can be meant: ten times too low or above what the card can do is a slip of the pen."""
        return self.limits.specification_least < floor / specification < self.limits.specification_most

    @property
    def bounds(self) -> str:
        """What ``sane`` asks for, in words."""
        return (
            f"a floor is {self.limits.specification_least:g} to {self.limits.specification_most:g} of the specification"
        )

    def floor_of(self, card: Card, name: str) -> Floor | None:
        for kind in (card.pci_id, plain(card.name)):
            if kind and (found := self.site.get((kind, name))):
                return found
        model = card.model
        return self.published.get((model.name, name)) if model else None

    def shares_of(self, card: Card, name: str) -> tuple[Share, ...]:
        if any((kind, name) in self.site for kind in (card.pci_id, plain(card.name)) if kind):
            return ()
        model = card.model.name if card.model else None
        has_floor = self.floor_of(card, name) is not None
        return tuple(
            share
            for share in self.shares
            if share.name == name
            and (not share.models or model in share.models)
            and not (share.without_floor and has_floor)
        )


def with_site(path: Path | None = None) -> Baselines:
    """The published floors and, with ``path``, a site's own before them. Raises ConfigError, with file and row."""
    known = published()
    if path is None:
        return known
    return replace(known, site=_site(path, known))


@cache
def published() -> Baselines:
    """What comes with the tool."""
    folder = built_in_checks()
    data = toml.read(folder / "baselines" / "published.toml")
    prefixes = {row["model"]: plain(row["model"]) or "" for row in data["floor"]}
    rows = {(prefixes[row["model"]], row["name"]): _published(row, data["sources"]) for row in data["floor"]}
    return Baselines(rows, tuple(_shares(data)), data["units"], data["specification"], {}, limits(folder))


def limits(folder: Path) -> Limits:
    found = toml.shipped(folder / "limits.toml")["floors"]
    return Limits(**{**found, "smaller_is_better": tuple(found["smaller_is_better"])})


def _published(row: Mapping[str, Any], sources: Mapping[str, str]) -> Floor:
    share = f"{row['floor'] / row['published']:.2f} x {row['published']:g}"
    return Floor(row["floor"], row["unit"], f"{share}: {sources[row['source']]}", row.get("warn", False))


def _shares(data: Mapping[str, Any]) -> Iterator[Share]:
    for row in data["share"]:
        models = tuple(plain(model) or "" for model in row.get("models", ()))
        for name in row["names"]:
            told = {key: value for key, value in row.items() if key not in ("names", "models")}
            yield Share(**told, name=name, models=models)


def _site(path: Path, known: Baselines) -> dict[tuple[str, str], Floor]:
    found: dict[tuple[str, str], Floor] = {}
    for index, row in enumerate(site_rows(path)):
        where = f"{path}: [[floor]] {index + 1}"
        kind, name, floor = _checked(row, where, known, path)
        if (kind, name) in found:
            raise ConfigError(f"{where}: {name} of {kind} is there twice", hint="leave one of the two out")
        found[kind, name] = floor
    return found


def site_rows(path: Path) -> Sequence[Any]:
    """The ``[[floor]]`` tables of a site's file. Raises ConfigError."""
    try:
        data = toml.read(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from error
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="the file must be TOML in UTF-8: key = value") from error
    version = data.get("schema_version")
    if type(version) is int and version > VERSION:
        raise ConfigError(f"{path}: its schema version is {version}", hint="update paddle-bootstrap to read it")
    known = {"schema_version": 0, "floor": 0}
    for key in data:
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}", hint=nearest(key, known))
    rows = data.get("floor", [])
    if type(version) is not int or version != VERSION or not isinstance(rows, list) or not rows:
        raise ConfigError(
            f"{path}: it is no file of floors: schema_version = {VERSION} and [[floor]] tables", hint=_HINT
        )
    return rows


def _checked(row: Any, where: str, known: Baselines, path: Path) -> tuple[str, str, Floor]:
    _require_keys(row, where)
    name, unit, value = row["name"], row["unit"], float(row["floor"])
    pci_id, model = row.get("pci_id", "").lower(), plain(row.get("model"))
    if not (re.fullmatch("[0-9a-f]{4}", pci_id) if pci_id else model):
        raise ConfigError(f"{where}: it names no model", hint='add pci_id = "2330" or model = "NVIDIA H100 80GB HBM3"')
    if not 0 < value < float("inf"):
        raise ConfigError(f"{where}: floor = {value:g} is no number above 0")
    of = f"{name} of {row.get('model', pci_id)}"
    if known.units.get(name, unit) != unit:
        raise ConfigError(
            f"{where}: {of} has the unit {unit!r}, but it is measured in {known.units[name]!r}",
            hint=f"write its floor in {known.units[name]}",
        )
    specification = known.specification(model_of(pci_id, row.get("model")) or named(model), name)
    if specification and not known.sane(value, specification):
        raise ConfigError(
            f"{where}: {of}: a floor of {value:g} {unit} is {value / specification:.2g} of the specification, {specification:g}",
            hint=known.bounds,
        )
    source = f"{path.name}: {row.get('rule', 'a floor of this site')}"
    return pci_id or model or "", name, Floor(value, unit, source, row.get("warn", False))


def _require_keys(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: it must be a table", hint=_HINT)
    for key, value in row.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}", hint=nearest(key, _KEYS))
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and _KEYS[key] is not bool):
            raise ConfigError(f"{where}: {key} = {value!r} is no {_word(_KEYS[key])}")
    for key in REQUIRED:
        if key not in row:
            raise ConfigError(f"{where}: {key} is missing", hint=_HINT)


def _word(kind: Any) -> str:
    return {str: "text", bool: "true or false", int: "whole number"}.get(kind, "number")
