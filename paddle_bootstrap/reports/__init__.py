"""Reports: pure functions of results. They need no pytest, no Paddle and no GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paddle_bootstrap.reports import json, junit, terminal
from paddle_bootstrap.results.model import Results

FORMATS: Mapping[str, Callable[[Results], str]] = {
    "terminal": terminal.render,
    "json": json.render,
    "junit": junit.render,
}
