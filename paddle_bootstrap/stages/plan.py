"""Everything that is decided before the first byte is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import cuda_runtime, space, target
from paddle_bootstrap.install import install as installation
from paddle_bootstrap.install.cuda_runtime import CudaChoice
from paddle_bootstrap.install.space import Need
from paddle_bootstrap.install.target import TargetState
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.choose import choose
from paddle_bootstrap.lock.model import Lock, Selection, Wheel
from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.stages.interpreters import choose_python
from paddle_bootstrap.stages.wish import Wish


@dataclass(frozen=True)
class Plan:
    """One lock for one interpreter."""

    lock: Lock
    interpreter: Interpreter
    selection: Selection
    cuda: CudaChoice
    have: Mapping[str, Path]  # file name -> what the store has of it: the wheel or, for a target, its unpacked copy
    state: TargetState | None = None  # None: fetch alone, no target is touched

    @property
    def target(self) -> Path:
        assert self.state is not None
        return self.state.path

    @property
    def missing(self) -> tuple[Wheel, ...]:
        return tuple(wheel for wheel in self.selection.wheels if wheel.filename not in self.have)

    @property
    def missing_bytes(self) -> int:
        return sum(wheel.size or 0 for wheel in self.missing)

    @property
    def is_current(self) -> bool:
        """There is nothing to do."""
        state = self.state
        return state is not None and state.exists and installation.is_current(state, self.selection, self.cuda)


def plan_target(wish: Wish) -> Plan:
    """Decide the lock, the interpreter, the CUDA libraries and the wheels. Refuses a target that is not ours to change."""
    lock = choose(wish.lock, wish.paddle, wish.device)
    state = target.inspect(wish.env, wish.python, in_place=wish.in_place, store=wish.store)
    plan = replace(_plan(wish, lock, state.interpreter, unpacked=True), state=state)
    if not plan.is_current:
        target.require_changeable(state)
    return plan


def plan_fetch(wish: Wish) -> Plan:
    """Decide what to fetch; the target is only looked at for its Python, if it is there."""
    lock = choose(wish.lock, wish.paddle, wish.device)
    python = wish.env / "bin" / "python"
    interpreter = pythons.probe(python) if wish.python is None and python.exists() else None
    return _plan(wish, lock, interpreter, unpacked=False)


def _plan(wish: Wish, lock: Lock, interpreter: Interpreter | None, *, unpacked: bool) -> Plan:
    interpreter = interpreter or choose_python(wish, pylock.pythons(lock))
    cuda = cuda_runtime.resolve(wish.cuda_runtime, lock.build, wish.root, wish.environ)
    selection = pylock.select(lock, interpreter, groups=cuda.groups(lock))
    store = Store(wish.store)
    have = {wheel.filename: path for wheel in selection.wheels if (path := store.holds(wheel, unpacked=unpacked))}
    return Plan(lock, interpreter, selection, cuda, have)


def needs(wish: Wish, plan: Plan) -> Sequence[Need]:
    """The room that the plan takes."""
    if plan.is_current:
        return ()
    store = Store(wish.store)
    packed = [wheel for wheel in plan.selection.wheels if store.unpacked(wheel) is None]
    return space.needs(plan.selection, plan.missing, packed, store=wish.store, target=plan.target)


def mirrors_of(wish: Wish) -> tuple[Mirror, ...]:
    """Where to fetch from, in order; nowhere for an offline run."""
    return () if wish.offline else configured(wish.mirrors, wish.environ, cwd=wish.cwd, tables=wish.mirror_tables)


def describe(wish: Wish, plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for ``plan`` and ``plan --json``."""
    build = plan.lock.build
    exists = plan.state is not None and plan.state.exists
    return {
        "lock": plan.lock.name,
        "package": build.package if build else None,
        "version": build.version if build else None,
        "device": build.device if build else None,
        "python": plan.interpreter.version,
        "interpreter": plan.interpreter.path,
        "interpreter_from": plan.interpreter.offered or None,
        "target": str(plan.target),
        "state": "up to date" if plan.is_current else "to be changed" if exists else "to be made",
        "cuda_runtime": plan.cuda.runtime,
        "cuda_reason": plan.cuda.reason,
        "wheels": [wheel.filename for wheel in plan.selection.wheels],
        "missing": [wheel.filename for wheel in plan.missing],
        "missing_bytes": plan.missing_bytes,
        "mirrors": [mirror.name for mirror in mirrors_of(wish)],
        "space": space.describe(needs(wish, plan)),
    }
