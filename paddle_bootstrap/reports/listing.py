"""``verify --list``: each check with its level, its worth, its time, what it needs and what it proves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paddle_bootstrap.reports.columns import pad
from paddle_bootstrap.results.listed import Listed

HEAD = ("check", "level", "priority", "seconds", "needs", "proves")


def render(checks: Iterable[Listed]) -> str:
    """A table with a line for each check, in the order in which they run."""
    rows = [HEAD, *(_row(check) for check in checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "".join("  ".join(_padded(row, widths)).rstrip() + "\n" for row in rows)


def _row(check: Listed) -> tuple[str, ...]:
    seconds = f"{check.seconds:g}" + (f" + {check.per_gpu:g}/GPU" if check.per_gpu else "")
    return check.id, check.level, str(check.priority), seconds, ", ".join(check.needs), check.title


def _padded(row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    return (pad(text, width) for text, width in zip(row, widths, strict=True))
