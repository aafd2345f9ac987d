"""Host to verdict: preflight, fetch, install, verify."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from paddle_bootstrap import progress
from paddle_bootstrap.install.install import tidy
from paddle_bootstrap.results.model import Results
from paddle_bootstrap.stages.choosing import Choice, choose_build
from paddle_bootstrap.stages.facts import reading_facts
from paddle_bootstrap.stages.judge import preflight, require_usable, verify_target
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.plan import plan_target
from paddle_bootstrap.stages.provision import fetch_wheels, install_target, tidy_store
from paddle_bootstrap.stages.wish import Judging, Wish


def bring_up(wish: Wish, judging: Judging) -> Results:
    """All stages in a row. A host that cannot be accepted is rejected before anything is downloaded."""
    started = time.monotonic()
    require_usable(judging)
    mirrors_of(wish)  # a name that nobody knows is told before anything is done
    facts = reading_facts(wish)
    choice = choose_build(wish, facts)
    progress.step(f"preflight: may this host run {choice.name}? ({choice.why})")
    for warning in choice.warnings:
        progress.warn(f"{choice.name}: {warning}")
    judged = preflight(wish, replace(judging, level="quick", checks=(), keyword=None, within=None), choice, facts)
    if judged.verdict == "rejected":
        return replace(judged, level=judging.level, seconds=round(time.monotonic() - started, 2))
    transfers = _provision(wish, choice)
    progress.step("running the checks")
    results = verify_target(replace(wish, device=judged.device, lock=None), judging, facts=facts)
    return replace(results, transfers=transfers, seconds=round(time.monotonic() - started, 2))


def _provision(wish: Wish, choice: Choice) -> tuple[Mapping[str, Any], ...]:
    """The target as the lock says; returns how its wheels were fetched."""
    plan = plan_target(wish, choice)
    if plan.is_current:
        tidy(plan.target, keep=wish.keep)
        tidy_store(wish, plan)
        progress.step(f"{plan.target}: nothing to do, {plan.lock.name} is installed")
        return ()
    fetched = fetch_wheels(wish, plan)
    for action in install_target(wish, plan, fetched).actions:
        progress.step(action)
    return tuple(asdict(record) for record in fetched.transfers)
