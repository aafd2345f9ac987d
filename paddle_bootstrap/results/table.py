"""What was measured, as a table: one row per measurement, one column per GPU; and which deviations were accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from paddle_bootstrap.results.model import CheckResult, Measurement, Outcome

_NO_GPU = 1 << 30
HOST = "host"  # the column of what belongs to no device


@dataclass
class Cell:
    """One number of one device."""

    measurement: Measurement
    outcome: Outcome  # of its check, as the verdict counts it


@dataclass
class Row:
    """One measurement of one check over devices with the same floor."""

    check: str  # "gemm.fp16", without the device
    name: str
    unit: str
    floor: float | None
    cells: dict[str, Cell] = field(default_factory=dict)  # "gpu0" -> its number

    @property
    def peers(self) -> float | None:
        """The middle of what the devices' own peers reached; None where none has equals."""
        known = [cell.measurement.peers for cell in self.cells.values() if cell.measurement.peers is not None]
        return median(known) if known else None

    @property
    def failed(self) -> bool:
        return any(cell.outcome in ("failed", "error") for cell in self.cells.values())


def rows(checks: Sequence[CheckResult]) -> tuple[Row, ...]:
    """The table, rows of failed checks first. Two numbers of one name on one device are two rows."""
    found: list[Row] = []
    for check in checks:
        for taken in check.measurements:
            label = check.device or HOST
            key = (check.id.removesuffix(f"[{check.device}]"), taken.name, taken.unit, taken.floor)
            free = (
                row for row in found if (row.check, row.name, row.unit, row.floor) == key and label not in row.cells
            )
            row = next(free, None)
            if row is None:
                row = Row(*key)
                found.append(row)
            row.cells[label] = Cell(taken, check.counts_as)
    return tuple(sorted(found, key=lambda row: not row.failed))


def of_gpus(row: Row) -> bool:
    """Whether this row has a column per GPU."""
    return all(_place(label)[0] < _NO_GPU for label in row.cells)


def columns(table: Iterable[Row]) -> tuple[str, ...]:
    """GPUs by their number, then what is none."""
    return tuple(sorted({label for row in table for label in row.cells}, key=_place))


def _place(label: str) -> tuple[int, str]:
    number = re.fullmatch(r"gpu(\d+)", label)
    return (int(number[1]), "") if number else (_NO_GPU, label)


def as_data(checks: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """The table as JSON has it: a row's devices with all that is known of each number."""
    return [
        {
            "check": row.check,
            "name": row.name,
            "unit": row.unit,
            "floor": row.floor,
            "peers": row.peers,
            "failed": row.failed,
            "devices": {label: row.cells[label].measurement.value for label in columns((row,))},
        }
        for row in rows(checks)
    ]


def accepted(checks: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """The deviations that the settings let pass, as JSON has them."""
    return [
        {"id": check.id, "outcome": check.outcome, "summary": check.summary, **check.accepted}
        for check in checks
        if check.accepted and check.counts_as != check.outcome
    ]
