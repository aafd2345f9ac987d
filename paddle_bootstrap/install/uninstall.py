"""Takes a target away: whole when this tool made it, else what it brought, in one step either way."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_version

from paddle_bootstrap import progress
from paddle_bootstrap.errors import TargetRefused
from paddle_bootstrap.install import clone as cloning
from paddle_bootstrap.install import distributions, kept, receipt, swap, target, wheels
from paddle_bootstrap.install.distributions import Distribution
from paddle_bootstrap.install.holding import explained, holding
from paddle_bootstrap.install.install import PADDLES
from paddle_bootstrap.install.receipt import FOLDER
from paddle_bootstrap.install.wheels import Place


@dataclass(frozen=True)
class Removal:
    """What goes. ``others``: distributions that no lock brought; they go with a target that goes whole, else they stay."""

    path: Path
    whole: bool
    links: tuple[str, ...]  # to CUDA libraries, relative to the target
    ours: tuple[Distribution, ...]
    others: tuple[Distribution, ...]
    last: Path | None  # the kept state, which goes too


def uninstall(env: Path, *, dry_run: bool) -> Removal | None:
    """Remove the target ``env``, or only say what would go; None when there is nothing.

    Raises TargetRefused for what this tool did not install, TargetBusy when a run is at work there.
    """
    path = target.writable(env)
    if dry_run:
        return _removal(path) if path.exists() else None
    if not path.exists() and not cloning.leftovers(path):
        return None
    owner = target.foreign_owner(path)
    with explained(path), holding(path, owner):
        cloning.remove_leftovers(path)
        removal = _removal(path) if path.exists() else None
        if removal:
            place = cloning.fresh_name(path)
            swap.require_swap_alone(path, place, f"remove what you want gone yourself: it is in {path}")
            try:
                _take_out(removal, place, owner)
            finally:
                cloning.remove_leftovers(path)
    return removal


def _removal(path: Path) -> Removal:
    told = receipt.read(path)
    if told is None:
        raise TargetRefused(
            f"the target {path} has no receipt: paddle-bootstrap installed nothing there",
            hint=f"give another one to --env, or remove it yourself: rm -r {path}",
        )
    folders = sorted(path.glob("lib/python3.*/site-packages")) if told.made else [_place(path, path).site_packages]
    here = [found for folder in folders for found in distributions.present(folder).values()]
    brought = {(row["name"], canonicalize_version(row["version"])) for row in told.wheels}
    brought = {(name, version) for name, version in brought if name not in told.found}
    ours = tuple(found for found in here if (found.name, canonicalize_version(found.version)) in brought)
    others = tuple(found for found in here if found not in ours)
    links = told.links if {found.name for found in ours} & PADDLES else ()  # they belong to the Paddle that they serve
    return Removal(path, told.made, links, ours, others, kept.read(path))


def _place(path: Path, place: Path) -> Place:
    """The target's clone at ``place``, or the target itself. Raises TargetRefused for a broken environment."""
    python = target.inspect(path, None).interpreter
    assert python
    return Place(place, distributions.site_packages_of(place, python), python)


def _take_out(removal: Removal, place: Path, owner: tuple[int, int] | None) -> None:
    """Rename the target away, or exchange it with a clone that lacks what we brought; the rest is leftovers."""
    path = removal.path
    if removal.whole:
        progress.step(f"removing {path}")
        with swap.uninterrupted():
            swap.take_away(path, place)
        return
    progress.step(f"taking {len(removal.ours)} packages out of {path}")
    cloning.make(path, place)
    spot = _place(path, place)
    for found in removal.ours:
        wheels.uninstall(found.name, spot)
    for link in removal.links:
        (place / link).unlink(missing_ok=True)
    shutil.rmtree(place / FOLDER)
    if owner:
        cloning.give_to(place, *owner)
    with swap.uninterrupted():
        swap.exchange(place, path)
