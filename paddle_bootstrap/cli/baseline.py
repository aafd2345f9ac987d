"""``paddle-bootstrap baseline``: a site's own floors, from runs that were accepted."""

from __future__ import annotations

from pathlib import Path

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import options
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.results.store import write_text
from paddle_bootstrap.stages import baseline as stage


@click.group("baseline")
def command() -> None:
    """Make a site's own floors from accepted runs."""


@command.command("record", short_help="Floors from at least three accepted results files.")
@click.argument("more", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option(
    "--results", "accepted", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Of an accepted run."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Default: standard output.",
)
@options()
def record(*, more: tuple[Path, ...], accepted: tuple[Path, ...], output: Path | None, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Make floors from the results of accepted runs: --results FILE FILE FILE.

    Per model and measurement: number, median, spread, rule and floor, in a TOML file to review. `verify --baseline FILE`
    judges by it.
    """
    files = (*accepted, *more)
    if not files:
        raise UsageError("no results were named", hint="paddle-bootstrap baseline record --results FILE FILE FILE")
    made = stage.record(files)
    for remark in made.remarks:
        progress.warn(remark)
    if output is None:
        say(made.text, end=False)
        return 0
    write_text(made.text, output)
    progress.step(f"{made.floors} floors: {output}")
    return 0
