"""Writing a run's results and the reports that were asked for, and showing the terminal one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import color
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.reports import FORMATS, terminal
from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import Results

_BY_SUFFIX = {".json": "json", ".xml": "junit", ".txt": "terminal"}


def report_targets(params: Mapping[str, Any]) -> tuple[tuple[str, Path], ...]:
    """``--report`` values as (format, file). They and ``--results`` are judged before any work is done."""
    targets = tuple(_target(value) for value in params["report"])
    for option, path in (("--results", params.get("results")), *(("--report", target) for _, target in targets)):
        require_writable(option, path)
    return targets


def require_writable(option: str, path: Path | None) -> None:
    """Raises BadParameter for a file that could not be written later."""
    if path is not None and (problem := _unwritable(path)):
        raise click.BadParameter(f"{path} cannot be written: {problem}", param_hint=option)


def _unwritable(path: Path) -> str | None:
    if path.is_dir():
        return "it is a directory"
    nearest = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not nearest.is_dir():
        return f"{nearest} is not a directory"
    allowed = os.access(nearest, os.W_OK | os.X_OK) or (path.exists() and os.access(path, os.W_OK))
    return None if allowed else f"no permission in {nearest}"


def _target(value: str) -> tuple[str, Path]:
    name, colon, rest = value.partition(":")
    if rest and name in FORMATS:
        return name, Path(rest)
    known = _BY_SUFFIX.get(Path(value).suffix)
    if known is None or (colon and "/" not in name):
        suffixes = ", ".join(f"{suffix} ({name})" for suffix, name in _BY_SUFFIX.items())
        raise click.BadParameter(
            f"{value!r}: give FORMAT:FILE with a format of {', '.join(FORMATS)}, or a FILE that ends in {suffixes}",
            param_hint="--report",
        )
    return known, Path(value)


def publish(
    results: Results,
    path: Path | None,
    reports: Sequence[tuple[str, Path]],
    *,
    verbose: bool,
    environ: Mapping[str, str],
) -> None:
    """Show the terminal report on standard output, then write results.json and the reports: what cannot be written costs
    no more than that."""
    show(results, verbose=verbose)
    kept = _kept(results, path, environ)
    try:
        store.note_accepted(results, environ)
    except ConfigError as error:
        progress.warn(f"that this host was accepted is not kept for the next run: {error}")
    for name, target in reports:
        store.write_text(FORMATS[name](results), target)
        progress.note(f"{name} report: {target}")
    if kept:
        progress.step(f"results: {kept}")


def _kept(results: Results, path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Where results.json is. A user without a home of his own still gets the verdict and its exit code."""
    chosen = path or store.default_path(environ)
    try:
        store.write(results, chosen)
    except ConfigError as error:
        if path is not None:
            raise
        progress.warn(f"the results are not kept: {error}; name a file: --results FILE")
        return None
    return chosen


def show(results: Results, *, verbose: bool) -> None:
    """The terminal report, with no character that its encoding lacks."""
    encoding = sys.stdout.encoding or "ascii"
    say(terminal.render(results, color=color(), verbose=verbose, encoding=encoding), end=False)
