"""``paddle-bootstrap up``: host -> target + results.json + exit code."""

from __future__ import annotations

from typing import Any

import click

from paddle_bootstrap.cli.options import INSTALLING, JUDGING, OFFLINE, judging, options, wish
from paddle_bootstrap.cli.publishing import publish, report_targets
from paddle_bootstrap.stages.up import bring_up


@click.command("up")
@options(*INSTALLING, "in_place", "keep", "keep_wheels", "compile_bytecode", *OFFLINE, *JUDGING)
def command(*, verbose: bool, **params: Any) -> int:
    """Host to verdict: preflight, fetch, install, verify, report.

    A host that cannot be accepted (no driver, no GPU, no machine code for its GPUs) is rejected before anything is
    downloaded. --device cpu rehearses the whole way without a GPU.
    """
    wanted = wish(params)
    reports = report_targets(params)
    results = bring_up(wanted, judging(params, wanted))
    publish(results, params["results"], reports, verbose=verbose, environ=wanted.environ)
    return results.exit_code
