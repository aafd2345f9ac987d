"""Goes back to the last state of a target: it and the kept one exchange their names, so that the next rollback goes forward."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import NoInterpreter, TargetRefused
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.install import clone as cloning
from paddle_bootstrap.install import distributions, kept, receipt, swap, target
from paddle_bootstrap.install.holding import explained, holding
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.lock.model import Wheel


@dataclass(frozen=True)
class RolledBack:
    """A receipt is None for an environment as it was before this tool came."""

    path: Path
    now: Receipt | None
    before: Receipt | None
    absent: tuple[str, ...]  # distributions of the state before that the target now lacks, and no lock brought


def rollback(env: Path) -> RolledBack:
    """Exchange the target and its kept state. Raises TargetRefused when there is none or it fits no longer."""
    path = target.writable(env)
    owner = target.foreign_owner(path)
    with explained(path), holding(path, owner):
        cloning.remove_leftovers(path)
        last = _kept(path)
        now, before = receipt.read(last), receipt.read(path)
        _require_fit(path, last, now)
        swap.require_swap_alone(path, cloning.fresh_name(path), "install the lock that you want back instead")
        absent = _names(path, before) - _names(last, now)
        for made in kept.announce(last):
            if owner:
                os.chown(made, *owner)
        with swap.uninterrupted():
            swap.exchange(last, path)
    return RolledBack(path, now, before, tuple(sorted(absent)))


def _kept(path: Path) -> Path:
    last = kept.read(path)
    if last is None:
        what = f"no earlier state of the target {path} is kept" if path.exists() else f"there is no target {path}"
        hint = "one is kept by the next installation that changes it; to change it now: paddle-bootstrap install --lock FILE"
        hint = hint if path.exists() else "give --env the directory of a target"
        raise TargetRefused(what, hint=hint)
    return last


def _require_fit(path: Path, last: Path, told: Receipt | None) -> None:
    """The kept state was right when it was taken out; what it needs around it may have gone since."""
    if wrong := _misfit(last, told):
        raise TargetRefused(
            f"the kept state of {path} fits no longer: {wrong}",
            hint=f"the target is as it was; install the wanted lock instead, or drop the kept state: rm -r {last}",
        )


def _misfit(last: Path, told: Receipt | None) -> str | None:
    try:
        python = probe(last / "bin" / "python")
    except NoInterpreter as error:
        return str(error)
    site_packages = last / "lib" / f"python{python.minor}" / "site-packages"
    if not site_packages.is_dir():
        return f"its interpreter is Python {python.version} now, and it has no {site_packages.relative_to(last)}"
    if told is None:
        return None
    if gone := [file for file in told.libraries.values() if not os.path.exists(file)]:  # noqa: PTH110
        return f"a CUDA library of this host that it uses is gone: {gone[0]}"
    locked = [Wheel(row["name"], row["version"], row["filename"], row["size"], row["sha256"]) for row in told.wheels]
    odd = distributions.deviations(site_packages, locked, told.wheels)
    odd |= {name: "leads nowhere" for name in told.links if not (last / name).exists()}
    return next((f"{name} {why}" for name, why in odd.items()), None)


def _names(env: Path, told: Receipt | None) -> set[str]:
    """Distributions that no lock brought."""
    found = (distributions.present(folder) for folder in env.glob("lib/python3.*/site-packages"))
    return {name for each in found for name in each} - {row["name"] for row in (told.wheels if told else ())}
