"""``paddle-bootstrap uninstall``: the target is gone, or what this tool brought into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.install.distributions import Distribution
from paddle_bootstrap.install.uninstall import Removal, uninstall


@click.command("uninstall")
@click.option("--dry-run", is_flag=True, help="Show what would go and what would stay, change nothing.")
@options("env")
def command(*, dry_run: bool, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Remove the target, or what was installed into an environment that was there before; in one step.

    A target that this tool made goes whole, with its kept state and whatever else stands in it. In an environment that was
    there before, packages that it had stay, in the version that they have now. Nothing is asked; the store is left alone.
    """
    env = wish(params).env
    removal = uninstall(env, dry_run=dry_run)
    if removal is None:
        progress.warn(f"there is no target {env}: nothing to remove")
        return 0
    for line in _lines(removal, would="would be " if dry_run else ""):
        say(line)
    return 0


def _lines(removal: Removal, *, would: str) -> list[str]:
    here, others = removal.path, _listed(removal.others)
    if removal.whole:
        lines = [f"{would}removed: {here}, with {len(removal.ours)} packages of its lock"]
        lines += [f"{would}removed too, though no lock brought them: {others}"] if others else []
    else:
        lines = [
            f"{would}removed from {here}: {_listed(removal.ours) or 'the receipt alone, for all was there before'}"
        ]
        lines += [f"stays: {others}"] if others else []
    return lines + ([f"{would}removed: its kept state {removal.last}"] if removal.last else [])


def _listed(found: Sequence[Distribution]) -> str:
    return ", ".join(sorted(f"{each.name} {each.version}" for each in found))
