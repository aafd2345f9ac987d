"""``paddle-bootstrap plan``: host -> facts and plan, on standard output. Changes nothing."""

from __future__ import annotations

import json
from typing import Any

import click

from paddle_bootstrap.cli.options import PLANNING, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.host.facts import to_json
from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.stages.facts import read_facts
from paddle_bootstrap.stages.plan import describe, plan_target


@click.command("plan")
@options(*PLANNING)
@click.option("--json", "as_json", is_flag=True, help="Facts and plan as JSON.")
def command(*, as_json: bool, verbose: bool, **params: Any) -> int:
    """Show the chosen build, what would be fetched from where, and what would change."""
    wanted = wish(params)
    facts = read_facts(wanted)
    described = describe(wanted, plan_target(wanted))
    if as_json:
        say(json.dumps({"host": to_json(facts), "plan": described}, indent=2))
        return 0
    for line in _lines(described, verbose=verbose):
        say(line)
    return 0


def _from(plan: dict[str, Any]) -> str:
    return f"  (to be installed, from {plan['interpreter_from']})" if plan["interpreter_from"] else ""


def _lines(plan: dict[str, Any], *, verbose: bool) -> list[str]:
    lines = [
        f"lock      {plan['lock']}  ({plan['package']} {plan['version']}, {plan['device']})",
        f"python    {plan['python']}  {plan['interpreter']}{_from(plan)}",
        f"target    {plan['target']}  ({plan['state']})",
        f"cuda      {plan['cuda_runtime']}: {plan['cuda_reason']}",
        f"fetch     {len(plan['missing'])} of {len(plan['wheels'])} wheels, {human_bytes(plan['missing_bytes'])}",
        f"from      {', '.join(plan['mirrors'])}",
    ]
    lines += [f"space     {line}" for line in plan["space"]]
    if verbose:
        lines += [f"  {wheel}" for wheel in plan["wheels"]]
    return lines
