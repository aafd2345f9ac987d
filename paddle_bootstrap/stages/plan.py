"""Everything that is decided before the first byte is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import cuda_runtime, space, target
from paddle_bootstrap.install import install as installation
from paddle_bootstrap.install.cuda_runtime import CudaChoice
from paddle_bootstrap.install.space import Need
from paddle_bootstrap.install.target import TargetState, own_python
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock, Selection, Wheel
from paddle_bootstrap.mirrors import ranking
from paddle_bootstrap.stages.choosing import Choice, Facts, choose_build, lock_for
from paddle_bootstrap.stages.facts import read_facts, reading_facts
from paddle_bootstrap.stages.interpreters import choose_python
from paddle_bootstrap.stages.mirrors import mirrors_of
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
    choice: Choice | None = None  # None: the lock was named by what is there

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


def plan_target(wish: Wish, choice: Choice | None = None) -> Plan:
    """Decide the build, the interpreter, the CUDA libraries and the wheels. Refuses a target that is not ours to change."""
    choice = choice or choose_build(wish, _facts(wish))
    state = target.inspect(wish.env, wish.python, in_place=wish.in_place, store=wish.store)
    plan = replace(_plan(wish, choice, state.interpreter, unpacked=True), state=state)
    if not plan.is_current:
        target.require_changeable(state)
    return plan


def plan_fetch(wish: Wish) -> Plan:
    """Decide what to fetch; the target is only looked at for its Python, if it is there."""
    choice = choose_build(wish, _facts(wish))
    python = wish.env / "bin" / "python"
    interpreter = pythons.probe(python) if wish.python is None and python.exists() else None
    return _plan(wish, choice, interpreter, unpacked=False)


def _facts(wish: Wish) -> Facts:
    """With a named lock nobody asks for them: then no process is started to read them."""
    return reading_facts(wish) if wish.lock is None else partial(read_facts, wish)


def _plan(wish: Wish, choice: Choice, interpreter: Interpreter | None, *, unpacked: bool) -> Plan:
    lock = lock_for(wish, choice)
    interpreter = interpreter or choose_python(wish, pylock.pythons(lock))
    cuda = cuda_runtime.resolve(wish.cuda_runtime, lock.build, wish.root, wish.environ)
    selection = pylock.select(lock, interpreter, groups=cuda.groups(lock))
    store = Store(wish.store)
    have = {wheel.filename: path for wheel in selection.wheels if (path := store.holds(wheel, unpacked=unpacked))}
    return Plan(lock, interpreter, selection, cuda, have, choice=choice)


def needs(wish: Wish, plan: Plan) -> Sequence[Need]:
    """The room that the plan takes."""
    if plan.is_current:
        return ()
    store = Store(wish.store)
    packed = [wheel for wheel in plan.selection.wheels if store.unpacked(wheel) is None]
    return space.needs(plan.selection, plan.missing, packed, store=wish.store, target=plan.target)


def describe(wish: Wish, plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for ``plan`` and ``plan --json``."""
    build, mirrors = plan.lock.build, mirrors_of(wish)
    exists = plan.state is not None and plan.state.exists
    return {
        "lock": plan.lock.name,
        **(why(plan.choice) if plan.choice else {}),
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
        "seconds": ranking.seconds(plan.missing_bytes, mirrors, wish.environ),
        "mirrors": [mirror.name for mirror in mirrors],
        "space": space.describe(needs(wish, plan)),
    }


def why(choice: Choice) -> dict[str, Any]:
    """What was chosen, and why, as plain data."""
    release = choice.release
    return {"chosen": release.id if release else choice.name, "why": choice.why, "warnings": list(choice.warnings)}


def describe_unlocked(wish: Wish, choice: Choice) -> dict[str, Any]:
    """The plan for a build whose lock is still to be composed: which wheels it takes is known only then."""
    assert choice.release is not None
    release = choice.release
    python = (
        choose_python(wish, release.pythons) if not (wish.env / "bin" / "python").exists() else own_python(wish.env)
    )
    size = release.sizes.get(python.minor)
    mirrors = mirrors_of(wish)
    return {
        "lock": None,
        **why(choice),
        "package": release.package,
        "version": release.version,
        "device": release.device,
        "python": python.version,
        "interpreter": python.path,
        "interpreter_from": python.offered or None,
        "target": str(wish.env),
        "wheels": [release.filename(python.minor)],
        "missing_bytes": size,
        "seconds": ranking.seconds(size, mirrors, wish.environ) if size else None,
        "mirrors": [mirror.name for mirror in mirrors],
    }
