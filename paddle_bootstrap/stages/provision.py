"""Bringing the wheels into the store, and the target to the plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch import clients, shared
from paddle_bootstrap.fetch.fetch import Fetched, fetch
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.unpacked import drop_wheels, unpack_missing, unpacked
from paddle_bootstrap.install import bytecode, kept, sharing, space
from paddle_bootstrap.install.install import install
from paddle_bootstrap.install.request import Installed, Request
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.stages import choosing, offline
from paddle_bootstrap.stages.interpreters import bring
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.plan import Plan, needs
from paddle_bootstrap.stages.wish import Wish


def fetch_wheels(wish: Wish, plan: Plan) -> Fetched:
    """Bring the selection's wheels into the store. All the room, the target's too, is asked for before the first byte."""
    shared.require_whole(Store(wish.store), plan.selection.wheels, unpacked=plan.state is not None)
    if plan.state is not None:
        space.require(needs(wish, plan), kept.read(plan.target))
    mirrors = mirrors_of(wish)  # an unknown one is refused before anything is announced
    if plan.state is not None:
        bring(wish, plan.interpreter)
    if plan.missing:
        size = progress.human_bytes(plan.missing_bytes)
        doing = "taking" if wish.offline else "fetching"
        progress.step(f"{doing} {len(plan.missing)} wheels of {plan.lock.name} ({size})")
    try:
        fetched = _fetch(wish, plan, plan.selection.wheels, mirrors, unpack=plan.state is not None)
    except NoMirrorServes as error:
        raise choosing.told_what_is_served(wish, plan.choice, plan.interpreter.minor, error) from error
    choosing.keep(wish, plan.choice)
    return fetched


def _fetch(wish: Wish, plan: Plan, wheels: Sequence[Wheel], mirrors: Sequence[Mirror], *, unpack: bool) -> Fetched:
    if wish.offline:
        return offline.bring(wish, wheels, unpacked=unpack)
    return fetch(
        wheels,
        build=plan.lock.build.index_folder if plan.lock.build else None,
        mirrors=mirrors,
        store=Store(wish.store),
        terms=wish.terms,
        environ=wish.environ,
        unpack=unpack,
        compiler=bytecode.Early(plan.interpreter, wish.environ) if unpack and wish.compile_bytecode else None,
    )


def install_target(wish: Wish, plan: Plan, fetched: Fetched) -> Installed:
    """Bring the target to the plan, in one step; ``fetched`` says that its wheels are in the store."""
    assert plan.state is not None
    assert all(wheel.filename in fetched.files for wheel in plan.selection.wheels)
    store = Store(wish.store)
    with store.explained():
        clients.record(store, plan.target, plan.lock.name, plan.selection.wheels)
    unpack_missing(store, plan.selection.wheels)
    unpack = partial(_unpacked, wish, plan)
    request = Request(
        plan.selection,
        plan.state,
        plan.interpreter,
        plan.cuda,
        unpack,
        wish.environ,
        in_place=wish.in_place,
        keep=wish.keep,
        repair=wish.repair,
        origins=_origins(plan, fetched),
        compile_bytecode=wish.compile_bytecode,
    )
    if space.apart(store.root, plan.target):
        progress.note(f"{store.root} and {plan.target} are on different file systems: files are copied, not linked")
    sharing.tell(plan.state, plan.interpreter.path)
    installed = install(request)
    tidy_store(wish, plan)
    return installed


def _origins(plan: Plan, fetched: Fetched) -> dict[str, tuple[str, ...]]:
    """Which mirrors sent bytes of each wheel in this run; a wheel that was in the store came from nobody."""
    found: dict[str, tuple[str, ...]] = {}
    for wheel in plan.selection.wheels:
        parts = [record for record in fetched.transfers if record.filename == wheel.filename and record.bytes]
        if sent := tuple(sorted({record.mirror for record in parts if record.outcome != "wrong"})):
            found[wheel.sha256] = sent
    return found


def _unpacked(wish: Wish, plan: Plan, wheel: Wheel, *, again: bool = False) -> Path:
    """A wheel that was not kept is fetched once more when it has to be unpacked again."""
    store = Store(wish.store)
    if again and store.has(wheel) is None:
        progress.step(f"fetching {wheel.filename} again: it was not kept")
        _fetch(wish, plan, [wheel], mirrors_of(wish), unpack=False)
    return unpacked(store, wheel, again=again)


def tidy_store(wish: Wish, plan: Plan) -> None:
    """After an installation: wheel files that the user does not want to keep are removed, the unpacked copies stay.

    The store remembers the target, also one that was moved to this store since.
    """
    store = Store(wish.store)
    with store.explained():
        clients.record(store, plan.target, plan.lock.name, plan.selection.wheels)
    if not wish.keep_wheels and not shared.is_closed(store):
        drop_wheels(store, plan.selection.wheels)
