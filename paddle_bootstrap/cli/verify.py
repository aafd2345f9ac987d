"""``paddle-bootstrap verify``: target + checks -> results.json, a report and an exit code."""

from __future__ import annotations

from typing import Any

import click

from paddle_bootstrap.cli.options import JUDGING, judging, options, wish
from paddle_bootstrap.cli.publishing import publish, report_targets
from paddle_bootstrap.stages.judge import verify_target


@click.command("verify")
@options("env", "device", "gpus", "lock", *JUDGING)
def command(*, verbose: bool, **params: Any) -> int:
    """Run the checks on an installed target and judge it.

    Whether a GPU is required follows from the target's receipt (a GPU build was installed, so no usable GPU is a
    failure), or from --device. An environment made by other means is judged too: what needs a lock says so.
    """
    wanted = wish(params)
    reports = report_targets(params)
    results = verify_target(wanted, judging(params))
    publish(results, params["results"], reports, verbose=verbose, environ=wanted.environ)
    return results.exit_code
