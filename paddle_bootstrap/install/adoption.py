"""An environment that somebody made by hand, held against a lock; where all is as locked, it gets a receipt."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.install import contents, cuda_runtime, distributions, target
from paddle_bootstrap.install.holding import explained, holding
from paddle_bootstrap.install.install import found_before, other_paddles, write_receipt
from paddle_bootstrap.install.receipt import FOLDER
from paddle_bootstrap.install.request import Request
from paddle_bootstrap.install.wheels import Place
from paddle_bootstrap.lock.model import Wheel

_SHOWN = 3  # files of one package


@dataclass(frozen=True)
class Difference:
    """``wheel``: what the lock has instead; None for what has to go, or is no package."""

    name: str
    what: str
    wheel: Wheel | None = None
    installed: bool = False  # under this name, so it must be replaced


def differences(request: Request) -> tuple[Difference, ...]:
    """How the target differs from the selection, as far as its own files tell: names, versions, sizes, links."""
    place = _place(request)
    wanted = {wheel.name: wheel for wheel in request.selection.wheels}
    here = distributions.present(place.site_packages)
    found = [
        Difference(name, "shares the folder paddle/ with the lock's Paddle, which it is not", installed=True)
        for name in other_paddles(place.site_packages, frozenset(wanted))
    ]
    told = distributions.deviations(place.site_packages, request.selection.wheels, [asdict(w) for w in wanted.values()])
    for name, why in told.items():
        expected = f", the lock has {wanted[name].version}" if why.startswith("is ") else ""
        found.append(Difference(name, f"{why}{expected}", wanted[name], installed=name in here))
    if not found and request.links and request.build:
        names = cuda_runtime.unlinked(place.site_packages, request.build)
        found += [Difference("paddle/libs", f"lacks links to CUDA libraries: {_listed(names)}")] if names else []
    return tuple(found)


def adopt(request: Request) -> tuple[Difference, ...]:
    """Compare every file with the verified wheels' digests; none differs: write the receipt, and nothing else."""
    path, owner = request.state.path, target.foreign_owner(request.state.path)
    with explained(path), holding(path, owner):
        progress.step(f"comparing the files of {len(request.selection.wheels)} packages with their wheels")
        found = differences(request) or tuple(_changed(request))
        if found:
            return found
        write_receipt(request, path, _found(request))
        for item in (path / FOLDER, *(path / FOLDER).iterdir()) if owner else ():
            os.chown(item, *owner)  # type: ignore[misc]  # it is there, or nothing is gone through
    return ()


def _changed(request: Request) -> Iterator[Difference]:
    place = _place(request)
    for wheel in request.selection.wheels:
        if files := contents.changed(place, wheel, request.unpack(wheel)):
            yield Difference(wheel.name, f"holds other files than {wheel.filename}: {_listed(files)}", wheel, True)


def _found(request: Request) -> tuple[str, ...]:
    """All of it was there before us, Paddle too, unless an earlier receipt says otherwise."""
    if request.state.receipt:
        return found_before(request)
    return tuple(sorted(wheel.name for wheel in request.selection.wheels))


def _place(request: Request) -> Place:
    path = request.state.path
    return Place(path, distributions.site_packages_of(path, request.python), request.python)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"and {rest} more"] if rest > 0 else [])])


def has_pip(path: Path) -> bool:
    """Whether the environment can mend itself."""
    return any(path.glob("lib/python3.*/site-packages/pip-*.dist-info"))
