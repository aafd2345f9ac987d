"""The table of measurements in columns: floor, the middle of the equal cards, and each device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from paddle_bootstrap.reports.columns import cells, fold, pad
from paddle_bootstrap.results.model import Outcome
from paddle_bootstrap.results.table import Cell, Row, columns

TITLE = "measurements"
_CELL = 9  # columns of a number and its mark
_NAME = 26  # columns that a name may take beside its numbers

Mark = Callable[[Outcome | None], str]  # of so many columns, blanks for None


def lines(table: Sequence[Row], shown: Callable[[str], str], mark: Mark, sign: int, width: int) -> Iterator[str]:
    """Rows of at most ``width`` columns. ``shown``: text as it can be printed; ``sign``: columns of a mark.

    More devices than fit beside each other go on below. The mark is that of the check that took the number.
    """
    names = [_name(row, shown) for row in table]
    devices = columns(table)
    column = max(len(TITLE), *(min(cells(" ".join(parts)), _NAME) for parts in names))
    room = (width - column - 2 - 2 * _CELL) // _CELL
    blocks = [devices[index : index + room] for index in range(0, len(devices), room)]
    blank = " " * (column + 2 + 2 * _CELL)
    for index, block in enumerate(blocks):
        head = f"{TITLE:{column + 2}}{_right('floor', sign)}{_right('peers', sign)}" if index == 0 else blank
        yield head + "".join(_right(_short(shown(label), sign), sign) for label in block)
    for row, parts in zip(table, names, strict=True):
        *above, last = _folded(parts, column)
        yield from (f"  {piece}" for piece in above)
        lead = f"  {pad(last, column)}{_right(_number(row.floor), sign)}{_right(_number(row.peers), sign)}"
        for index, block in enumerate(blocks):
            told = "".join(_cell(row.cells.get(label), mark, sign) for label in block)
            if index == 0 or told.strip():
                yield (lead if index == 0 else blank) + told


def _name(row: Row, shown: Callable[[str], str]) -> tuple[str, ...]:
    return (shown(row.name), shown(f"({row.unit})")) if row.unit else (shown(row.name),)


def _folded(parts: Sequence[str], column: int) -> Iterator[str]:
    """A unit that does not fit beside its name stands whole below it."""
    whole = " ".join(parts)
    for part in [whole] if cells(whole) <= column else parts:
        yield from fold(part, column)


def _right(text: str, sign: int) -> str:
    return " " * (_CELL - sign - cells(text)) + text + " " * sign


def _short(label: str, sign: int) -> str:
    return next(fold(label, _CELL - sign - 1))


def _cell(cell: Cell | None, mark: Mark, sign: int) -> str:
    if cell is None:
        return " " * _CELL
    grave = cell.outcome if cell.outcome in ("failed", "error", "warned") else None
    return f"{number(cell.measurement.value):>{_CELL - sign}}{mark(grave)}"


def _number(value: float | None) -> str:
    return "-" if value is None else number(value)


def number(value: float) -> str:
    """Four digits: what a person compares."""
    if not math.isfinite(value) or not 1e-3 <= abs(value) < 1e6:
        return "0" if value == 0 else f"{value:.1e}" if math.isfinite(value) else str(value)
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
