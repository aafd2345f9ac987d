"""``paddle-bootstrap fetch``: pylock.toml -> store."""

from __future__ import annotations

from typing import Any

import click

from paddle_bootstrap.cli.options import CHOOSING, FETCHING, OFFLINE, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.stages.plan import plan_fetch
from paddle_bootstrap.stages.provision import fetch_wheels


@click.command("fetch")
@options(*CHOOSING, "python", "env", "cuda_runtime", "store", "mirror", *FETCHING, *OFFLINE)
def command(*, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Download and verify a lock's wheels into the store.

    Works on any PEP 751 lock with hashes (--lock FILE). Prints the path of each verified wheel. An interrupted run
    continues where it stopped.
    """
    wanted = wish(params)
    plan = plan_fetch(wanted)
    fetched = fetch_wheels(wanted, plan)
    for wheel in plan.selection.wheels:
        say(str(fetched.files[wheel.filename]))
    return 0
