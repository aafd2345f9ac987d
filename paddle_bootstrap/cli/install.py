"""``paddle-bootstrap install``: pylock.toml + store -> target + receipt."""

from __future__ import annotations

import shlex
from typing import Any

import click

from paddle_bootstrap.cli.options import INSTALLING, OFFLINE, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.install.install import tidy
from paddle_bootstrap.stages.plan import plan_target
from paddle_bootstrap.stages.provision import fetch_wheels, install_target, tidy_store


@click.command("install")
@options(*INSTALLING, "in_place", "repair", "keep", "keep_wheels", "compile_bytecode", *OFFLINE)
def command(*, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Make or update the target from a lock, in one step.

    Needs no GPU, so images can be built anywhere. Until the last step the target stays as it was; packages that the
    lock does not name survive.
    """
    wanted = wish(params)
    plan = plan_target(wanted)
    if plan.is_current and not wanted.repair:
        tidy(plan.target, keep=wanted.keep)
        tidy_store(wanted, plan)
        say(f"{plan.target}: nothing to do, {plan.lock.name} is installed")
        return 0
    installed = install_target(wanted, plan, fetch_wheels(wanted, plan))
    for action in installed.actions:
        say(action)
    say(f"to use it:  source {shlex.quote(str(plan.target / 'bin' / 'activate'))}")
    return 0
