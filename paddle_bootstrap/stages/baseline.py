"""A site's own floors, from runs that were accepted: a file that people review before ``verify --baseline`` judges by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from paddle_bootstrap import __version__
from paddle_bootstrap.errors import ConfigError, UsageError
from paddle_bootstrap.harness import baselines
from paddle_bootstrap.harness.baselines import Baselines
from paddle_bootstrap.harness.floors import without_baseline
from paddle_bootstrap.harness.models import Card, Model, named
from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import CheckResult, Measurement, Results


@dataclass(frozen=True)
class Run:
    """One accepted run, and the file that it was read from."""

    path: Path
    results: Results


@dataclass(frozen=True)
class Taken:
    """One number of one GPU of one run."""

    card: Card
    name: str
    unit: str
    value: float
    run: Run
    device: str

    @property
    def place(self) -> str:
        return f"{self.device} of {self.run.results.host['hostname']} ({self.run.path.name})"


@dataclass(frozen=True)
class Record:
    """The file's text, and what somebody who reviews it should know."""

    text: str
    floors: int
    remarks: tuple[str, ...]


def record(paths: Sequence[Path]) -> Record:
    """The floors of the runs at ``paths``. Raises UsageError for too few, ConfigError for what is no basis for a floor."""
    known = baselines.published()
    runs = _runs(paths, known.limits.recorded_least)
    series: dict[tuple[str, str, str], list[Taken]] = {}
    for taken in (each for run in runs for each in _taken(run)):
        series.setdefault((taken.card.name or "", taken.card.pci_id or "", taken.name), []).append(taken)
    rows, remarks = [], []
    for _, some in sorted(series.items()):
        _require_one_unit(some, known)
        count = len({each.run.path for each in some})
        if count < known.limits.recorded_least:
            remarks.append(f"{some[0].name} of {some[0].card.label}: in {count} of {len(runs)} runs only, left out")
            continue
        rows.append(_row(some, known))
        remarks += _below(some, rows[-1])
    if not rows:
        said = "none of these runs measured anything on a GPU" if not series else "no measurement is in enough runs"
        raise UsageError(said, hint="record them with: paddle-bootstrap verify --level standard", tried=remarks)
    return Record(_text(rows, runs, remarks, known), len(rows), tuple(remarks))


def _runs(paths: Sequence[Path], least: int) -> tuple[Run, ...]:
    runs: list[Run] = []
    for path in paths:
        run = Run(path, store.read(path))
        _require_accepted(run)
        if same := next((other for other in runs if _key(other) == _key(run)), None):
            raise UsageError(f"{same.path} and {path} are the same run", hint="name each run once")
        runs.append(run)
    if len(runs) < least:
        said = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, but a floor needs at least {least}: fewer have no spread"
        raise UsageError(said, hint="run verify more often, or on more hosts, each with --results FILE")
    return tuple(runs)


def _key(run: Run) -> tuple[Any, ...]:
    return run.results.host["hostname"], run.results.created, run.results.checks


def _require_accepted(run: Run) -> None:
    results = run.results
    if results.device == "cpu":
        raise UsageError(f"{run.path} is a rehearsal on the CPU", hint="name runs on GPUs")
    if results.verdict != "accepted":
        raise UsageError(f"{run.path} was {results.verdict}: only accepted runs make a floor", hint="leave it out")


def _taken(run: Run) -> Iterator[Taken]:
    """What the run judged on GPUs. What was recorded only, or deviates in a way that is accepted, is no basis."""
    cards = dict(_cards(run.results))
    for check in run.results.checks:
        card = cards.get(check.device or "")
        if card is None or check.accepted:
            continue
        for found in check.measurements:
            if _judged(check, found) and math.isfinite(found.value) and found.value > 0:
                yield Taken(card, found.name, found.unit, found.value, run, check.device or "")


def _judged(check: CheckResult, found: Measurement) -> bool:
    return (
        any(without_baseline(found.name) in text for text in check.warnings)
        or found.floor is not None
        or found.peers is not None
    )


def _cards(results: Results) -> Iterator[tuple[str, Card]]:
    gpus = results.host.get("gpus")
    for gpu in gpus if isinstance(gpus, list) else ():
        if isinstance(gpu, Mapping) and isinstance(gpu.get("name"), str):
            yield f"gpu{gpu.get('index')}", Card(_pci_id(gpu), gpu["name"])


def _pci_id(gpu: Mapping[str, Any]) -> str | None:
    """As the run read it, else the only one that a model of this name has."""
    if isinstance(gpu.get("pci_device_id"), str):
        return str(gpu["pci_device_id"]).lower()
    model = named(gpu["name"])
    return model.pci_ids[0] if model and len(model.pci_ids) == 1 and not model.unsure else None


def _require_one_unit(some: Sequence[Taken], known: Baselines) -> None:
    first = some[0]
    expected, whose = known.units.get(first.name, first.unit), "its published floors are"
    if first.name not in known.units:
        whose = f"that of {first.place} is"
    for each in some:
        if each.unit != expected:
            raise ConfigError(
                f"{each.name} is in {each.unit!r} in the run of {each.place}, but {whose} in {expected!r}",
                hint="leave out the runs with another unit",
            )


def _row(some: Sequence[Taken], known: Baselines) -> dict[str, Any]:
    first, values = some[0], [each.value for each in some]
    middle, share = median(values), known.limits.recorded
    smaller = first.unit in known.limits.smaller_is_better
    floor = middle / share if smaller else middle * share
    runs = len({each.run.path for each in some})
    told = f"{'1/' if smaller else ''}{share:g} x the median of {len(values)} values of {runs} runs"
    row: dict[str, Any] = {
        "model": first.card.name,
        "pci_id": first.card.pci_id,
        "name": first.name,
        "unit": first.unit,
        "n": len(values),
    }
    row |= {"median": _short(middle), "min": _short(min(values)), "max": _short(max(values))}
    row |= {"mad": _short(median(abs(value - middle) for value in values)), "rule": told, "floor": _short(floor)}
    _require_sane(first, floor, known)
    return {key: value for key, value in row.items() if value is not None}


def _require_sane(first: Taken, floor: float, known: Baselines) -> None:
    specification = known.specification(_model(first.card), first.name)
    if specification and not known.sane(floor, specification):
        raise ConfigError(
            f"{first.name} of {first.card.label}: {floor:.4g} {first.unit} is {floor / specification:.2g} of the specification, "
            f"{specification:g}; {known.bounds}",
            hint="these runs measured something else, or a slow card: look at them with paddle-bootstrap report FILE",
        )


def _model(card: Card) -> Model | None:
    return card.model or named(card.name)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _below(some: Sequence[Taken], row: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of accepted runs that the new floor would not let pass."""
    for each in some:
        beyond = each.value > row["floor"] if row["floor"] > row["median"] else each.value < row["floor"]
        if beyond:
            told = f"{each.name}: {each.value:.4g} {each.unit} on {each.place}"
            yield f"{told} would fail at {row['floor']:.4g}: is that card well?"


def _text(rows: Sequence[Mapping[str, Any]], runs: Sequence[Run], remarks: Sequence[str], known: Baselines) -> str:
    document = tomlkit.document()
    told = [
        f"Floors of this site, made by paddle-bootstrap {__version__} (baseline record) from {len(runs)} accepted runs.",
        "Review them, then judge by them: paddle-bootstrap verify --baseline FILE. They come before the published ones.",
        f"A floor is {known.limits.recorded:g} x the median; min, max and mad (median distance from it) show the spread.",
        "",
        *(
            f"{run.results.host['hostname']}, {run.results.created}, level {run.results.level}: {run.path.name}"
            for run in runs
        ),
        *(["", *remarks] if remarks else []),
    ]
    for line in told:
        document.add(tomlkit.comment(_one_line(line)) if line else tomlkit.comment(""))
    document.add("schema_version", tomlkit.item(baselines.VERSION))
    tables = AoT([])
    for row in rows:
        made: Table = tomlkit.table()
        made.update(row)
        tables.append(made)
    document.add("floor", tables)
    return tomlkit.dumps(document)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
