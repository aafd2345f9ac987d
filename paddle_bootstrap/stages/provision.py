"""Bringing the wheels into the store, and the target to the plan."""

from __future__ import annotations

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.fetch import Fetched, fetch
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.install import space
from paddle_bootstrap.install.install import Installed, Request, install
from paddle_bootstrap.stages.plan import Plan, mirrors_of, needs
from paddle_bootstrap.stages.wish import Wish


def fetch_wheels(wish: Wish, plan: Plan) -> Fetched:
    """Bring the selection's wheels into the store. All the room, the target's too, is asked for before the first byte."""
    mirrors = mirrors_of(wish)
    if plan.state is not None:
        space.require(needs(wish, plan))
    if plan.missing:
        size = progress.human_bytes(plan.missing_bytes)
        progress.step(f"fetching {len(plan.missing)} wheels of {plan.lock.name} ({size})")
    folder = plan.lock.build.index_folder if plan.lock.build else None
    return fetch(
        plan.selection.wheels,
        build=folder,
        mirrors=mirrors,
        store=Store(wish.store),
        terms=wish.terms,
        environ=wish.environ,
    )


def install_target(wish: Wish, plan: Plan, fetched: Fetched) -> Installed:
    """Bring the target to the plan, in one step."""
    assert plan.state is not None
    cache = Store(wish.store).uv_cache
    request = Request(plan.selection, plan.state, plan.interpreter, plan.cuda, cache, wish.environ, wish.in_place)
    return install(request, fetched.files)
