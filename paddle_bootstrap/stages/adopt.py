"""Taking over an environment that was made by hand: what of it is as locked, and what is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from paddle_bootstrap import progress
from paddle_bootstrap.errors import TargetRefused, UsageError
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.unpacked import unpack_missing, unpacked
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import adoption, cuda_runtime, distributions, target
from paddle_bootstrap.install.adoption import Difference
from paddle_bootstrap.install.install import PADDLES
from paddle_bootstrap.install.request import Request
from paddle_bootstrap.install.target import TargetState
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock
from paddle_bootstrap.releases.model import device_of
from paddle_bootstrap.stages.choosing import PROJECT_LOCK, standing_lock
from paddle_bootstrap.stages.plan import Plan
from paddle_bootstrap.stages.provision import fetch_wheels
from paddle_bootstrap.stages.wish import Wish


@dataclass(frozen=True)
class Adoption:
    """``differences`` is empty: it is adopted. ``news``: the receipt was written now."""

    lock: Lock
    state: TargetState
    differences: tuple[Difference, ...]
    news: bool


def adopt_target(wish: Wish) -> Adoption:
    """Hold the environment at ``wish.env`` against a lock; sign it when every file of it is the lock's.

    What its own files tell is judged before anything is downloaded; the wheels' bytes decide in the end.
    """
    state = target.inspect(wish.env, None, store=wish.store, adopting=True)
    if state.interpreter is None:
        raise TargetRefused(
            f"there is no environment {state.path}", hint=f"to make one: paddle-bootstrap install --env {state.path}"
        )
    wish = _by_what_is_there(wish, state)
    plan = _plan(wish, standing_lock(wish), state, state.interpreter)
    if plan.is_current:
        return Adoption(plan.lock, state, (), news=False)
    request = _request(wish, plan, state)
    found = adoption.differences(request)
    if not found:
        fetched = fetch_wheels(wish, plan)
        assert all(wheel.filename in fetched.files for wheel in plan.selection.wheels)
        unpack_missing(Store(wish.store), plan.selection.wheels)
        found = adoption.adopt(request)
    return Adoption(plan.lock, state, found, news=not found)


def _by_what_is_there(wish: Wish, state: TargetState) -> Wish:
    """Unless something else is asked for, or the project has a lock, it is the one of the Paddle that is installed."""
    asked = wish.lock or wish.paddle or wish.device or (wish.cwd / PROJECT_LOCK).is_file()
    if asked or state.interpreter is None:
        return wish
    here = distributions.present(distributions.site_packages_of(state.path, state.interpreter))
    found = sorted(PADDLES & here.keys())
    if not found:
        raise UsageError(
            f"{state.path} holds no Paddle, so nothing tells which lock it is to be held against",
            hint="name one: --lock NAME (or --device cpu, --paddle VERSION)",
        )
    if len(found) != 1:
        return wish
    progress.note(f"{state.path} holds {found[0]} {here[found[0]].version}")
    return replace(wish, paddle=here[found[0]].version, device=device_of(found[0]))


def _plan(wish: Wish, lock: Lock, state: TargetState, python: Interpreter) -> Plan:
    cuda = cuda_runtime.resolve(wish.cuda_runtime, lock.build, wish.root, wish.environ)
    selection = pylock.select(lock, python, groups=cuda.groups(lock))
    store = Store(wish.store)
    have = {wheel.filename: path for wheel in selection.wheels if (path := store.holds(wheel, unpacked=True))}
    return Plan(lock, python, selection, cuda, have, state)


def _request(wish: Wish, plan: Plan, state: TargetState) -> Request:
    unpack = partial(unpacked, Store(wish.store))
    return Request(plan.selection, state, plan.interpreter, plan.cuda, unpack, wish.environ)
