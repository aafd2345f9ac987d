"""``verify --list``: each check with its level, its time, what it needs and what it proves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from paddle_bootstrap.reports.columns import pad

if TYPE_CHECKING:
    from paddle_bootstrap.harness.listing import Listed


def render(checks: Iterable[Listed]) -> str:
    """A line for each check, by file; at most 120 columns wide."""
    return "\n".join(_lines(tuple(checks))) + "\n"


def _lines(checks: tuple[Listed, ...]) -> Iterator[str]:
    name, needs = (max((len(text(check)) for check in checks), default=0) for text in (_name, _needs))
    for group, some in groupby(checks, key=lambda check: check.id.partition(".")[0]):
        yield group
        for check in some:
            cost = f"{check.seconds:g} s" + (f" + {check.per_gpu:g} s/GPU" if check.per_gpu else "")
            head = f"  {pad(_name(check), name)}  {check.level:8}  {check.priority}  {cost:16}"
            yield f"{head}  {pad(_needs(check), needs)}  {check.title}"


def _name(check: Listed) -> str:
    return check.id.partition(".")[2]


def _needs(check: Listed) -> str:
    return ", ".join(check.needs)
