"""``paddle-bootstrap install``: pylock.toml + store -> target + receipt."""

from __future__ import annotations

import shlex
from typing import Any

import click

from paddle_bootstrap import stages
from paddle_bootstrap.cli.options import INSTALLING, options, wish


@click.command("install")
@options(*INSTALLING, "in_place")
def command(*, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Make or update the target from a lock, in one step.

    Needs no GPU, so images can be built anywhere. Until the last step the target stays as it was; packages that the
    lock does not name survive.
    """
    wanted = wish(params)
    plan = stages.make_plan(wanted, stages.choose_lock(wanted))
    if stages.is_current(plan):
        click.echo(f"{plan.target}: nothing to do, {plan.lock.name} is installed")
        return 0
    installed = stages.install_target(wanted, plan, stages.fetch_wheels(wanted, plan))
    for action in installed.actions:
        click.echo(action)
    click.echo(f"to use it:  source {shlex.quote(str(plan.target / 'bin' / 'activate'))}")
    return 0
