"""Makes or updates a target from verified wheels: everything is done in a clone, which then takes the target's place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.errors import InstallFailed, TargetRefused
from paddle_bootstrap.install import (
    bytecode,
    contents,
    cuda_runtime,
    distributions,
    kept,
    receipt,
    swap,
    target,
    uv,
    wheels,
)
from paddle_bootstrap.install import clone as cloning
from paddle_bootstrap.install.cuda_runtime import CudaChoice
from paddle_bootstrap.install.holding import explained, holding
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.request import Installed, Request
from paddle_bootstrap.install.target import TargetState
from paddle_bootstrap.install.wheels import Place
from paddle_bootstrap.lock.model import Selection

PADDLES = frozenset({"paddlepaddle", "paddlepaddle-gpu"})  # both own the folder paddle/: one of them at a time


def install(request: Request) -> Installed:
    """Bring the target to the selection. Until the exchange it is as it was; afterwards it is the new one."""
    path, owner = request.state.path, target.foreign_owner(request.state.path)
    with explained(path, "half changed" if request.in_place else "as it was"), holding(path, owner):
        cloning.remove_leftovers(path)
        request = _as_it_is_now(request)
        if request.state.receipt and not request.repair and is_current(request.state, request.selection, request.cuda):
            _drop_unwanted(path, keep=request.keep)
            return Installed(request.state.receipt, changed=False, actions=())
        with _workplace(request) as place:
            found = found_before(request)
            actions = _build(request, place, copies=owner is not None)
            written = write_receipt(request, place, found)
            _remember(request, place)
            if owner:
                cloning.give_to(place, *owner)
            with swap.uninterrupted():
                if place != path:
                    swap.exchange(place, path)
                    cloning.remove_leftovers(path)
    return Installed(written, changed=True, actions=(*actions, f"{path} now holds {request.selection.lock.name}"))


def _remember(request: Request, place: Path) -> None:
    """What the clone replaces is its last state. A repair stays with the one there was: nobody wants the damage back."""
    before = request.state.receipt
    if request.in_place or not request.keep:
        kept.forget(place)
    elif request.state.exists and not (before and _is_of(before, request.selection, request.cuda)):
        kept.announce(place)


def tidy(path: Path, *, keep: bool = True) -> None:
    """Remove what killed runs left beside the target ``path``, and its kept state unless ``keep``.

    Raises TargetBusy when a run is at work there.
    """
    if cloning.leftovers(path) or (kept.read(path) and not keep):
        with explained(path), holding(path, target.foreign_owner(path)):
            _drop_unwanted(path, keep=keep)


def _drop_unwanted(path: Path, *, keep: bool) -> None:
    if not keep:
        kept.forget(path)
    cloning.remove_leftovers(path)


def is_current(state: TargetState, selection: Selection, cuda: CudaChoice) -> bool:
    """The target holds exactly this selection: by its receipt, and by every file that stands there."""
    have, python, wanted = state.receipt, state.interpreter, _names(selection)
    if have is None or python is None or have.doubtful or not _is_of(have, selection, cuda):
        return False
    site_packages = distributions.site_packages_of(state.path, python)
    if {row["name"] for row in have.wheels} != wanted or other_paddles(site_packages, wanted):
        return False
    if distributions.deviations(site_packages, selection.wheels, have.wheels):
        return False
    return all((state.path / name).exists() for name in have.links)


def _is_of(have: Receipt, selection: Selection, cuda: CudaChoice) -> bool:
    """The receipt is of this lock with these CUDA libraries."""
    same = have.lock_sha256 == selection.lock.sha256
    return same and (have.cuda_runtime, dict(have.libraries)) == (cuda.runtime, dict(cuda.libraries))


def _as_it_is_now(request: Request) -> Request:
    """Another run may have changed the target since it was looked at."""
    state = target.inspect(request.state.path, None, in_place=request.in_place)
    if state.interpreter and state.interpreter.version != request.python.version:
        raise TargetRefused(
            f"the target {state.path} was made with Python {state.interpreter.version} by another run meanwhile",
            hint="run the command again",
        )
    return replace(request, state=state)


@contextmanager
def _workplace(request: Request) -> Iterator[Path]:
    """A clone's place beside the target; whatever stands there in the end is deleted."""
    path = request.state.path
    target.require_changeable(request.state)
    if request.in_place:
        progress.warn(f"{path} is changed in place: an interruption can leave it half changed")
        if request.state.receipt:
            receipt.doubt(path, request.state.receipt)
        yield path
        return
    try:
        place = cloning.fresh_name(path)
        swap.require_swappable(path, place)
        yield place
    finally:
        cloning.remove_leftovers(path)


def _build(request: Request, place: Path, *, copies: bool) -> list[str]:
    path, locked = request.state.path, request.selection.wheels
    if not request.state.exists:
        progress.step(f"making an environment of Python {request.python.version}")
        uv.make_environment(place, request.python.path, request.environ)
        if path.exists() and place != path:
            shutil.copystat(path, place)
    elif place != path:
        progress.step(f"cloning {path}")
        cloning.make(path, place)
    site_packages = distributions.site_packages_of(place, request.python)
    spot = Place(place, site_packages, request.python, copies)
    again = _make_way(request, spot)
    progress.step(f"installing {len(locked)} wheels")
    _install_wheels(request, spot, again)
    actions = [f"installed {wheel.name} {wheel.version}" for wheel in locked if wheel.name in PADDLES]
    if request.links and request.build:
        links = cuda_runtime.link(site_packages, request.build)
        actions.append(f"linked the CUDA libraries of NVIDIA's wheels into paddle/libs ({len(links)} links)")
    if place != path:
        cloning.settle(place, path, site_packages)
    return actions


def _install_wheels(request: Request, place: Place, again: Sequence[str]) -> None:
    """From unpacked wheels; one is unpacked again when somebody has edited a file that is linked to it."""
    selection, here = request.selection, distributions.present(place.site_packages)
    folders = {}
    for wheel in selection.wheels:
        if wheel.name in again or wheel.name not in here or here[wheel.name].version != wheel.version:
            folders[wheel.name] = request.unpack(wheel)
            wheels.install(wheel, folders[wheel.name], place)
    if spoilt := sorted({*_odd(request, place), *(_changed(request, place) if request.repair else ())}):
        progress.note(f"unpacking again, its files were edited: {', '.join(spoilt)}")
        for wheel in selection.wheels:
            if wheel.name in spoilt:
                folders[wheel.name] = request.unpack(wheel, again=True)
                wheels.install(wheel, folders[wheel.name], place)
    if odd := _odd(request, place):
        told = [f"{name} {why}" for name, why in odd.items()]
        raise InstallFailed("what was installed is not what the lock says", tried=told)
    if request.compile_bytecode:
        progress.step("bytecode")
        bytecode.install(list(folders.values()), place, request.environ)


def _odd(request: Request, place: Place) -> dict[str, str]:
    locked = request.selection.wheels
    return distributions.deviations(place.site_packages, locked, [asdict(wheel) for wheel in locked])


def _changed(request: Request, place: Place) -> list[str]:
    """Packages with a file of another content, though of the right size."""
    return [wheel.name for wheel in request.selection.wheels if contents.changed(place, wheel, request.unpack(wheel))]


def _files(request: Request, place: Path, links: Sequence[str]) -> bytes:
    spot = Place(place, distributions.site_packages_of(place, request.python), request.python)
    unpacked = [(wheel, request.unpack(wheel)) for wheel in request.selection.wheels]
    return contents.listing(spot, unpacked, links)


def _make_way(request: Request, place: Place) -> list[str]:
    """Take out what the lock's packages cannot stand beside; returns the names that must be installed again."""
    site_packages = place.site_packages
    present = distributions.present(site_packages)
    wanted = _names(request.selection)
    rivals = other_paddles(site_packages, wanted)
    if rivals:
        paddle = ", ".join(wanted & PADDLES)
        progress.warn(
            f"{', '.join(rivals)} shares the folder paddle/ with {paddle}: it is taken out, {paddle} installed anew"
        )
    before = request.state.receipt
    gone = [*rivals, *(name for name in _outdated(before, present) if name not in wanted and name not in rivals)]
    for name in gone:
        wheels.uninstall(name, place)
    installed = before.wheels if before and not before.doubtful else ()
    odd = distributions.deviations(site_packages, request.selection.wheels, installed)
    same = before is not None and before.lock_sha256 == request.selection.lock.sha256
    for name, why in odd.items():
        (progress.step if same else progress.note)(f"{'repairing ' if same else ''}{name}: it {why}")
    unlinked = before is not None and bool(before.links) and not request.links
    return sorted({*(odd.keys() & present.keys()), *(wanted & PADDLES if rivals or unlinked else ())} & present.keys())


def _outdated(before: Receipt | None, present: Mapping[str, distributions.Distribution]) -> list[str]:
    """What we brought earlier, unless somebody else has brought another version since."""
    rows = before.wheels if before else ()
    found = before.found if before else ()
    return [
        row["name"]
        for row in rows
        if row["name"] in present and row["name"] not in found and present[row["name"]].version == row["version"]
    ]


def other_paddles(site_packages: Path, wanted: frozenset[str]) -> list[str]:
    """Other Paddles than the wanted one."""
    return sorted(PADDLES & distributions.present(site_packages).keys() - wanted) if wanted & PADDLES else []


def _names(selection: Selection) -> frozenset[str]:
    return frozenset(wheel.name for wheel in selection.wheels)


def write_receipt(request: Request, place: Path, found: tuple[str, ...]) -> Receipt:
    """Say at ``place`` that it holds the selection; ``found``: what of it was there before this tool came."""
    told = _receipt(request, place, found)
    return receipt.write(place, told, request.selection.lock.path, _files(request, place, told.links))


def _receipt(request: Request, place: Path, found: tuple[str, ...]) -> Receipt:
    selection = request.selection
    return Receipt(
        tool=f"paddle-bootstrap {__version__}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        lock_name=selection.lock.name,
        lock_sha256=selection.lock.sha256,
        build=asdict(request.build) if request.build else None,
        python=request.python.version,
        base_python=os.path.realpath(request.python.path),
        cuda_runtime=request.cuda.runtime,
        groups=selection.groups,
        wheels=tuple(
            {key: value for key, value in asdict(wheel).items() if key != "pieces"} for wheel in selection.wheels
        ),
        links=_links(distributions.site_packages_of(place, request.python), place) if request.links else (),
        libraries=dict(request.cuda.libraries),
        origins=_origins(request),
        found=found,
        first_use=tuple(map(str, selection.lock.first_use)),
        made=request.state.receipt.made if request.state.receipt else not request.state.exists,
    )


def _origins(request: Request) -> dict[str, Sequence[str]]:
    """Who brought each wheel, as far as that was seen: by this run, or by the one that the last receipt tells of."""
    before = request.state.receipt
    known = {**(before.origins if before else {}), **request.origins}
    return {wheel.sha256: known[wheel.sha256] for wheel in request.selection.wheels if wheel.sha256 in known}


def found_before(request: Request) -> tuple[str, ...]:
    """The lock's packages that stood in the target before this tool came."""
    if not request.state.exists:
        return ()
    before = request.state.receipt
    here = distributions.present(distributions.site_packages_of(request.state.path, request.python)).keys() - PADDLES
    brought = {row["name"] for row in before.wheels} if before else set()
    return tuple(sorted({*(before.found if before else ()), *((here - brought) & _names(request.selection))}))


def _links(site_packages: Path, place: Path) -> tuple[str, ...]:
    folder = site_packages / "paddle" / "libs"
    found: Sequence[Path] = list(folder.iterdir()) if folder.is_dir() else []
    ours = (path for path in found if path.is_symlink() and cuda_runtime.is_ours(path))
    return tuple(sorted(os.path.relpath(path, place) for path in ours))
