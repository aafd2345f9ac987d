"""``paddle-bootstrap plan``: host -> facts and plan, on standard output. Changes nothing."""

from __future__ import annotations

import json
from typing import Any

import click

from paddle_bootstrap.cli.options import PLANNING, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.host.facts import HostFacts, to_json
from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.releases import telling
from paddle_bootstrap.stages.choosing import choose_build, survey
from paddle_bootstrap.stages.facts import read_facts
from paddle_bootstrap.stages.plan import describe, describe_unlocked, plan_target
from paddle_bootstrap.stages.wish import Wish


@click.command("plan")
@options(*PLANNING)
@click.option(
    "--all", "every", is_flag=True, help="Every build there is: what fits this host, and why the others do not."
)
@click.option("--json", "as_json", is_flag=True, help="Facts and plan as JSON.")
def command(*, every: bool, as_json: bool, verbose: bool, **params: Any) -> int:
    """Show the chosen build, what would be fetched from where, and what would change."""
    wanted = wish(params)
    facts = read_facts(wanted)
    lines, told = _every(wanted, facts) if every else _one(wanted, facts, verbose=verbose)
    if as_json:
        say(json.dumps({"host": to_json(facts), **told}, indent=2))
        return 0
    for line in lines:
        say(line)
    return 0


def _every(wanted: Wish, facts: HostFacts) -> tuple[list[str], dict[str, Any]]:
    here, judged = survey(wanted, facts)
    return [f"host  {telling.host_line(here)}", *telling.table(judged)], {"builds": telling.as_data(judged)}


def _one(wanted: Wish, facts: HostFacts, *, verbose: bool) -> tuple[list[str], dict[str, Any]]:
    choice = choose_build(wanted, lambda: facts)
    if choice.lock is None:
        plan = describe_unlocked(wanted, choice)
        return _unlocked_lines(plan), {"plan": plan}
    plan = describe(wanted, plan_target(wanted, choice))
    return _lines(plan, verbose=verbose), {"plan": plan}


def _head(plan: dict[str, Any]) -> list[str]:
    return [
        f"build     {plan['chosen']}  ({plan['why']})",
        *(f"warning   {warning}" for warning in plan["warnings"]),
    ]


def _python(plan: dict[str, Any]) -> str:
    told = f"  (to be installed, from {plan['interpreter_from']})" if plan["interpreter_from"] else ""
    return f"python    {plan['python']}  {plan['interpreter']}{told}"


def _time(plan: dict[str, Any]) -> str:
    return f", about {plan['seconds']:.0f} s by the last ranking" if plan["seconds"] is not None else ""


def _lines(plan: dict[str, Any], *, verbose: bool) -> list[str]:
    size = human_bytes(plan["missing_bytes"])
    lines = [
        *_head(plan),
        f"lock      {plan['lock']}  ({plan['package']} {plan['version']}, {plan['device']})",
        _python(plan),
        f"target    {plan['target']}  ({plan['state']})",
        f"cuda      {plan['cuda_runtime']}: {plan['cuda_reason']}",
        f"fetch     {len(plan['missing'])} of {len(plan['wheels'])} wheels, {size}{_time(plan)}",
        f"from      {', '.join(plan['mirrors'])}",
    ]
    lines += [f"space     {line}" for line in plan["space"]]
    if verbose:
        lines += [f"  {wheel}" for wheel in plan["wheels"]]
    return lines


def _unlocked_lines(plan: dict[str, Any]) -> list[str]:
    size = f", {human_bytes(plan['missing_bytes'])}{_time(plan)}" if plan["missing_bytes"] else ""
    return [
        *_head(plan),
        "lock      none yet: the first run composes it, and tells then what else is fetched and the room it takes",
        _python(plan),
        f"target    {plan['target']}",
        f"fetch     {plan['wheels'][0]}{size}, and what it needs",
        f"from      {', '.join(plan['mirrors'])}",
    ]
