"""``paddle-bootstrap rollback``: the target as it was before the last change."""

from __future__ import annotations

import shlex
from typing import Any

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.rollback import rollback


@click.command("rollback")
@options("env")
def command(*, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Put the target's last state back, in one step; once more goes forward again.

    An installation that changes a target keeps the state before it, unless it was called with --no-keep. Refused when
    nothing is kept, or when it fits no longer (its interpreter is gone).
    """
    wanted = wish(params).env
    progress.step(f"going back to the last state of {wanted}")
    done = rollback(wanted)
    if done.absent:
        progress.warn(f"not in that state, since they came later: {', '.join(done.absent)}")
    say(f"{done.path} is back at {_told(done.now)}")
    say(f"to go forward to {_told(done.before)}:  paddle-bootstrap rollback --env {shlex.quote(str(done.path))}")
    return 0


def _told(receipt: Receipt | None) -> str:
    return f"{receipt.lock_name}, installed {receipt.created}" if receipt else "what it was before paddle-bootstrap"
