"""Makes or updates a target from verified wheels: everything is done in a clone, which then takes the target's place."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import canonicalize_name

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.errors import InstallFailed, TargetRefused
from paddle_bootstrap.filelock import held
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import clone as cloning
from paddle_bootstrap.install import cuda_runtime, receipt, swap, uv
from paddle_bootstrap.install.cuda_runtime import CudaChoice
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.target import TargetState
from paddle_bootstrap.lock.model import Build, Selection

PADDLES = frozenset({"paddlepaddle", "paddlepaddle-gpu"})  # both own the folder paddle/: one of them at a time


@dataclass(frozen=True)
class Installed:
    """``actions``: what was done, in words."""

    receipt: Receipt
    changed: bool
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """One installation, everything decided."""

    selection: Selection
    state: TargetState
    python: Interpreter
    cuda: CudaChoice
    uv_cache: Path
    environ: Mapping[str, str]
    in_place: bool = False

    @property
    def build(self) -> Build | None:
        return self.selection.lock.build


def install(request: Request, files: Mapping[str, Path]) -> Installed:
    """Bring the target to the selection. Until the last rename it is as it was; afterwards it is the new one."""
    target = request.state.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with held(target.parent / f".{target.name}.paddle-bootstrap.lock", f"the target {target}"):
        cloning.remove_leftovers(target)
        if is_current(request.state, request.selection, request.cuda):
            assert request.state.receipt is not None
            return Installed(request.state.receipt, changed=False, actions=())
        with _workplace(request) as place:
            actions = _build(request, files, place)
            written = _receipt(request, place)
            receipt.write(place, written, request.selection.lock.path)
            if place != target:
                site_packages = _site_packages(place)
                cloning.settle(place, target, site_packages)
                _own(request, place)
                swap.sync_folder(place)
                swap.exchange(place, target)
                actions.append(f"{target} now holds {request.selection.lock.name}")
    return Installed(written, changed=True, actions=tuple(actions))


@contextmanager
def _workplace(request: Request) -> Iterator[Path]:
    """A clone beside the target, deleted in the end: then it holds the failed new tree, or the old one."""
    target = request.state.path
    if request.in_place:
        progress.warn(f"{target} is changed in place: an interruption can leave it half changed")
        yield target
        return
    if swap.is_mount_point(target):
        raise TargetRefused(
            f"the target {target} is a mount point and cannot be swapped in one step",
            hint="choose a directory inside it, or accept changes in place: --in-place",
        )
    place = target.parent / f"{cloning.prefix_of(target)}{secrets.token_hex(4)}"
    swap.try_exchange(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _build(request: Request, files: Mapping[str, Path], place: Path) -> list[str]:
    if request.state.exists:
        progress.step(f"cloning {request.state.path}")
        if place != request.state.path:
            cloning.make(request.state.path, place)
    else:
        progress.step(f"making an environment of Python {request.python.version}")
        if place.exists() and request.in_place is False:
            place.rmdir()
        uv.make_environment(place, request.python.path, request.environ)
    site_packages = _site_packages(place)
    again = _make_way(request, place, site_packages)
    progress.step(f"installing {len(request.selection.wheels)} wheels")
    _install_wheels(request, files, place, again)
    actions = [f"installed {wheel.name} {wheel.version}" for wheel in request.selection.wheels if wheel.name in PADDLES]
    if request.build and request.build.libraries and request.build.libraries.link and request.cuda.runtime == "wheels":
        links = cuda_runtime.link(site_packages, request.build)
        actions.append(f"linked the CUDA libraries of NVIDIA's wheels into paddle/libs ({len(links)} links)")
    return actions


def _make_way(request: Request, place: Path, site_packages: Path) -> list[str]:
    """Take out what the lock's packages cannot stand beside; returns the names that must be installed again."""
    present = distributions(site_packages)
    wanted = {wheel.name for wheel in request.selection.wheels}
    rivals = sorted(PADDLES & set(present) - wanted) if wanted & PADDLES else []
    if rivals:
        progress.warn(
            f"{', '.join(rivals)} shares the folder paddle/ with {', '.join(wanted & PADDLES)}: it is taken out"
        )
    before = request.state.receipt
    ours = {str(wheel["name"]) for wheel in before.wheels} if before else set()
    gone = [*rivals, *sorted((ours & set(present)) - wanted - set(rivals))]
    if gone:
        uv.uninstall(gone, place, request.uv_cache, request.environ)
    unlinked = before is not None and bool(before.links) and request.cuda.runtime != "wheels"
    return sorted(wanted & PADDLES) if rivals or unlinked else []


def _install_wheels(request: Request, files: Mapping[str, Path], place: Path, again: Sequence[str]) -> None:
    uv.install(
        request.selection.wheels,
        files,
        place,
        request.uv_cache,
        request.environ,
        copies=_owner(request.state.path) is not None,
        again=again,
    )


def _own(request: Request, place: Path) -> None:
    if owner := _owner(request.state.path):
        cloning.give_to(place, *owner)


def _owner(target: Path) -> tuple[int, int] | None:
    """The user whose target it is, when that is not who runs: root installs for a user."""
    if os.geteuid() != 0:
        return None
    told = (target if target.exists() else target.parent).stat()
    return (told.st_uid, told.st_gid) if told.st_uid != 0 else None


def _receipt(request: Request, place: Path) -> Receipt:
    selection = request.selection
    links = _links(_site_packages(place), place) if request.cuda.runtime == "wheels" else ()
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
        links=links,
        libraries=dict(request.cuda.libraries),
    )


def _links(site_packages: Path, place: Path) -> tuple[str, ...]:
    folder = site_packages / "paddle" / "libs"
    if not folder.is_dir():
        return ()
    return tuple(sorted(os.path.relpath(path, place) for path in folder.iterdir() if path.is_symlink()))


def _site_packages(place: Path) -> Path:
    found = sorted(place.glob("lib/python3.*/site-packages"))
    if not found:
        raise InstallFailed(f"{place} has no lib/python3.*/site-packages")
    return found[-1]


def distributions(site_packages: Path) -> dict[str, str]:
    """Normalised name -> version of what is installed, from the names of the .dist-info folders."""
    folders = (re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name) for path in site_packages.glob("*.dist-info"))
    return {canonicalize_name(match[1]): match[2] for match in folders if match}


def is_current(state: TargetState, selection: Selection, cuda: CudaChoice) -> bool:
    """The target holds exactly this selection: by its receipt, and by what stands there."""
    have = state.receipt
    if have is None or (have.lock_sha256, have.cuda_runtime) != (selection.lock.sha256, cuda.runtime):
        return False
    if {wheel["sha256"] for wheel in have.wheels} != {wheel.sha256 for wheel in selection.wheels}:
        return False
    present = distributions(_site_packages(state.path))
    if any(present.get(wheel.name) != wheel.version for wheel in selection.wheels):
        return False
    if len(PADDLES & set(present)) > 1:
        return False
    return all((state.path / name).exists() for name in have.links)
