"""What a target is now, and whether this tool may change it. Reads only; judged before anything is downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.errors import NoInterpreter, TargetRefused
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.install import receipt
from paddle_bootstrap.install.receipt import Receipt


@dataclass(frozen=True)
class TargetState:
    """``interpreter`` is the target's own Python, None when the target is still to be made."""

    path: Path  # symbolic links followed
    interpreter: Interpreter | None
    receipt: Receipt | None

    @property
    def exists(self) -> bool:
        return self.interpreter is not None


def inspect(target: Path, wanted_python: str | None) -> TargetState:
    """The state of ``target``. Raises TargetRefused when it is not ours to change."""
    path = target.resolve()
    if path.exists() and not path.is_dir():
        raise TargetRefused(f"the target {path} is a file", hint="give a directory to --env")
    if (path / "conda-meta").exists():
        raise TargetRefused(
            f"the target {path} is a conda environment: conda would no longer know what is in it",
            hint="give --env a directory of its own; it can use conda's Python: --python PATH",
        )
    _require_writable(path)
    if not path.exists() or not any(path.iterdir()):
        return TargetState(path, None, None)
    if not (path / "pyvenv.cfg").is_file():
        raise TargetRefused(
            f"the target {path} is not a virtual environment and not empty", hint="give --env an empty or new directory"
        )
    interpreter = _own_python(path)
    _require_python(path, interpreter, wanted_python)
    return TargetState(path, interpreter, receipt.read(path))


def _require_writable(path: Path) -> None:
    """The target is swapped, so its parent must be writable too; the nearest existing one decides."""
    nearest = path
    while not nearest.exists():
        nearest = nearest.parent
    for folder in {nearest, nearest.parent} if nearest == path else {nearest}:
        if not nearest.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise TargetRefused(
                f"the target {path} cannot be written: no permission in {folder}",
                hint="give --env a directory of yours, or run as its owner",
            )


def _own_python(path: Path) -> Interpreter:
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
    asked = probe(wanted).version if os.sep in wanted else wanted.removeprefix("python")
    if interpreter.version != asked and not interpreter.version.startswith(asked + "."):
        raise TargetRefused(
            f"the target {path} has Python {interpreter.version}, but --python {wanted} was asked for",
            hint="give another --env, or remove the target to have it made anew",
        )
