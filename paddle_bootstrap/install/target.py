"""What a target is now, and whether this tool may change it. Reads only; judged before anything is downloaded."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from paddle_bootstrap.errors import NoInterpreter, TargetRefused
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.host.pythons import at, probe, version_of
from paddle_bootstrap.install import receipt
from paddle_bootstrap.install.receipt import Receipt

LOCK = ".paddle-bootstrap.lock"  # in the target, when nothing can be written beside it
_NO_CONTENT = {LOCK, "lost+found"}


@dataclass(frozen=True)
class TargetState:
    """``interpreter`` is the target's own Python, None when the target is still to be made."""

    path: Path  # symbolic links followed
    interpreter: Interpreter | None
    receipt: Receipt | None
    conda: bool = False  # made by conda, which has its own book of what is in it

    @property
    def exists(self) -> bool:
        return self.interpreter is not None


def inspect(
    target: Path,
    wanted_python: str | None,
    *,
    in_place: bool = False,
    store: Path | None = None,
    adopting: bool = False,
) -> TargetState:
    """The state of ``target``. Raises TargetRefused when it is not ours to change; ``adopting``: to be signed, not changed.

    A conda environment is looked at when it is adopted, or has been: then there may be nothing to change in it.
    """
    path = writable(target, in_place=in_place or adopting)
    if store and store.resolve().is_relative_to(path):
        raise TargetRefused(
            f"the store {store} is inside the target {path}, which is swapped as a whole",
            hint="name another place with --store or --env",
        )
    _require_executable(path)
    if not path.exists() or all(item.name in _NO_CONTENT for item in path.iterdir()):
        return TargetState(path, None, None)
    conda = (path / "conda-meta").is_dir()
    if not conda:
        _require_environment(path)
    told = receipt.read(path)
    state = TargetState(path, None, told, conda)
    if not adopting and told is None:
        require_changeable(state)
    interpreter = own_python(path)
    _require_python(path, interpreter, wanted_python)
    return replace(state, interpreter=interpreter)


def require_changeable(state: TargetState) -> None:
    """Raises TargetRefused for a conda environment, whatever its receipt says."""
    if state.conda:
        raise TargetRefused(
            f"the target {state.path} is a conda environment: conda would no longer know what is in it",
            hint=f"give --env a directory of its own; it can use this Python: --python {state.path}/bin/python; "
            f"or change this one by hand and have it judged: paddle-bootstrap adopt {state.path}",
        )


def _require_environment(path: Path) -> None:
    if (path / "pyvenv.cfg").is_file():
        return
    if any(path.glob("lib/python3.*/os.py")):
        raise TargetRefused(
            f"the target {path} is a Python itself, not an environment of one",
            hint=f"give --env a new directory; it can use this Python: --python {path}",
        )
    raise TargetRefused(
        f"the target {path} is not a virtual environment and not empty", hint="give --env an empty or new directory"
    )


def writable(target: Path, *, in_place: bool = False) -> Path:
    """Where ``target`` really is. Raises TargetRefused when this user or this process may not change what stands there."""
    path = _resolved(target)
    _require_apart(path)
    _require_writable(path, in_place=in_place)
    return path


def foreign_owner(path: Path) -> tuple[int, int] | None:
    """User and group whose target it is or will be, when that is not who runs: root installs for a user."""
    told = _nearest(path).stat()
    return (told.st_uid, told.st_gid) if os.geteuid() == 0 and told.st_uid != 0 else None


def _resolved(target: Path) -> Path:
    path = Path(os.path.realpath(target))
    if os.path.islink(path):  # noqa: PTH114
        raise TargetRefused(
            f"the target {target} leads nowhere: its links go in a circle", hint="give a directory to --env"
        )
    if os.path.islink(target) and not os.path.exists(path):  # noqa: PTH110, PTH114 False where nobody may look
        raise TargetRefused(
            f"the target {target} is a link to {path}, which does not exist (a disk that is not mounted?)",
            hint=f"make that directory, or give its path to --env: {path}",
        )
    if ":" in str(path) or "\n" in str(path):
        raise TargetRefused(
            f"the target {str(path)!r} has a colon or a line break in its path, so it cannot stand in PATH",
            hint="give another directory to --env",
        )
    return path


def _require_apart(path: Path) -> None:
    """This tool's own environment is not a target, nor is anything in it or around it."""
    own = Path(sys.prefix).resolve()
    if own.is_relative_to(path) or (path.is_relative_to(own) and (own / "pyvenv.cfg").is_file()):
        raise TargetRefused(
            f"the target {path} is where paddle-bootstrap itself lives ({own}): it would change under its own feet",
            hint="give another directory to --env",
        )


def _require_writable(path: Path, *, in_place: bool) -> None:
    """The target is swapped, so its parent must be writable too; of a new one the nearest existing parent."""
    nearest = _nearest(path)
    if not nearest.is_dir():
        what = "is a file" if nearest == path else f"cannot be made: {nearest} is a file"
        raise TargetRefused(f"the target {path} {what}", hint="give a directory to --env")
    if os.statvfs(nearest).f_flag & os.ST_RDONLY:
        raise TargetRefused(
            f"the target {path} cannot be written: its file system is mounted read-only",
            hint="give --env a directory on another one, or have it mounted read-write",
        )
    for folder in (nearest, nearest.parent) if nearest == path and not in_place else (nearest,):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise TargetRefused(
                f"the target {path} cannot be written: no permission in {folder}",
                hint="give --env a directory of yours, or run as its owner",
            )
    owner = nearest.stat().st_uid
    if nearest == path and os.geteuid() not in (0, owner):
        raise TargetRefused(
            f"the target {path} belongs to {user(owner)}", hint="give --env a directory of yours, or run as its owner"
        )


def _require_executable(path: Path) -> None:
    if os.statvfs(_nearest(path)).f_flag & os.ST_NOEXEC:
        raise TargetRefused(
            f"the target {path} is on a file system mounted noexec: no library in it could be loaded, no program started",
            hint="give --env a directory on another one, or have it mounted exec; the store may stay where it is",
        )


def _nearest(path: Path) -> Path:
    while not os.path.lexists(path):
        path = path.parent
    return path


def user(uid: int) -> str:
    """The name of ``uid``, if it has one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def own_python(path: Path) -> Interpreter:
    """The Python in the environment ``path``. Raises TargetRefused when it does not answer as one."""
    python = path / "bin" / "python"
    try:
        return probe(python)
    except NoInterpreter as error:
        raise TargetRefused(
            f"the target {path} is a broken environment: {error}", hint=f"remove {path} and run the command again"
        ) from error


def _require_python(path: Path, interpreter: Interpreter, wanted: str | None) -> None:
    if wanted is None:
        return
    asked = at(wanted).version if os.sep in wanted else version_of(wanted)
    if not f"{interpreter.version}.".startswith(f"{asked}." if asked else ""):
        raise TargetRefused(
            f"the target {path} has Python {interpreter.version}, but --python {wanted} was asked for",
            hint="give another --env, or remove the target to have it made anew",
        )
