"""``paddle-bootstrap verify``: target or host + checks -> results.json, a report and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import JUDGING, judging, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.cli.publishing import publish, report_targets, require_writable
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.reports.listing import render
from paddle_bootstrap.results.store import write_text
from paddle_bootstrap.stages.facts import reading_facts
from paddle_bootstrap.stages.judge import listed_checks, recording, require_usable, verify_host, verify_target


@click.command("verify")
@options("env", "device", "gpus", "lock", *JUDGING)
@click.option(
    "--host", "host", is_flag=True, help="The host alone, before anything is installed: what needs no target."
)
@click.option("--list", "listing", is_flag=True, help="Show each check, its level, what it needs and proves; run none.")
@click.option(
    "--record-host",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write every reading of this host's GPUs to FILE, without UUIDs and serial numbers.",
)
def command(*, verbose: bool, host: bool, listing: bool, record_host: Path | None, **params: Any) -> int:
    """Run the checks on an installed target, or on the host alone, and judge it.

    Whether a GPU is required follows from the target's receipt (a GPU build was installed, so no usable GPU is a
    failure), or from --device. An environment made by other means is judged too: what needs a lock says so.
    """
    wanted, asked = wish(params), judging(params)
    if listing:
        say(render(listed_checks(asked)), end=False)
        return 0
    _require_no_lock(host)
    reports = report_targets(params)
    require_writable("--record-host", record_host)
    require_usable(asked)
    facts = reading_facts(wanted)
    if record_host is not None:
        write_text(recording(wanted, facts), record_host)
        progress.step(f"this host's readings: {record_host}")
    judge = verify_host if host else verify_target
    results = judge(wanted, asked, facts=facts)
    publish(results, params["results"], reports, verbose=verbose, environ=wanted.environ)
    return results.exit_code


def _require_no_lock(host: bool) -> None:
    """A lock that is named and judged by nothing would seem to be accepted. One from the settings is for other runs."""
    if host and click.get_current_context().get_parameter_source("lock") is ParameterSource.COMMANDLINE:
        raise UsageError(
            "--host judges no target, so nothing by --lock",
            hint="leave one of them out; what fits this host: paddle-bootstrap plan",
        )
