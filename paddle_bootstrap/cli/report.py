"""``paddle-bootstrap report``: results.json -> a report. Needs no pytest, no Paddle and no GPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from paddle_bootstrap.cli.options import options
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.cli.publishing import report_targets, show
from paddle_bootstrap.reports import FORMATS
from paddle_bootstrap.results import store
from paddle_bootstrap.results.schema import schema as results_schema


@click.command("report")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    type=click.Choice(sorted(FORMATS)),
    default="terminal",
    show_default=True,
    help="What goes to standard output.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of results files instead.")
@options("report")
def command(*, file: Path | None, name: str, schema: bool, verbose: bool, **params: Any) -> int:
    """Render a results file again, anywhere.

    FILE defaults to the last run's results. Exits 0 whatever the verdict was: the run itself has told that.
    """
    if schema:
        say(json.dumps(results_schema(), indent=2))
        return 0
    targets = report_targets(params)
    results = store.read(file or store.default_path(os.environ))
    for form, target in targets:
        store.write_text(FORMATS[form](results), target)
    if name == "terminal":
        show(results, verbose=verbose)
    else:
        say(FORMATS[name](results).encode("utf-8", "backslashreplace"), end=False)
    return 0
