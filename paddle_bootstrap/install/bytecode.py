"""Bytecode of wheels, compiled once for each Python beside the unpacked wheel: a target gets links to it.

A traceback names the target's files all the same: an import corrects the path in what it loads.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import child
from paddle_bootstrap.install.wheels import Place, link_or_copy
from paddle_bootstrap.surroundings import neutral

_PART = Path(__file__).with_name("compile_part.py")
_MOST = 16  # processes; beyond it the disk decides


def install(folders: Sequence[Path], place: Place, environ: Mapping[str, str]) -> None:
    """Give ``place`` the bytecode of the unpacked wheels in ``folders``, compiling what is not compiled yet."""
    missing = [folder for folder in folders if not _kept(folder, place.python).is_dir()]
    made = {folder: _kept(folder, place.python, f".{os.getpid()}") for folder in missing}
    writable = all(os.access(folder.parent, os.W_OK) for folder in missing)
    if not writable:  # a store that is shared: what is compiled for this target goes no further
        made = {folder: place.env / f".bytecode-{number}" for number, folder in enumerate(missing)}
    try:
        if missing:
            _compile(place.env / "bin" / "python", made, environ)
        for folder in folders:
            _link(made.get(folder) or _kept(folder, place.python), place)
        for folder in missing if writable else ():
            _keep(made[folder], _kept(folder, place.python))
    finally:
        for folder in made.values():
            shutil.rmtree(folder, ignore_errors=True)


def _kept(folder: Path, python: Interpreter, suffix: str = "") -> Path:
    """Where the bytecode of an unpacked wheel stands, or would; it goes with the wheel."""
    return folder.with_name(f"{folder.name}.cpython-{python.minor.replace('.', '')}{suffix}")


def _keep(made: Path, kept: Path) -> None:
    try:
        made.rename(kept)
    except OSError:  # another run was quicker
        if not kept.is_dir():
            raise


def _compile(python: Path, made: Mapping[Path, Path], environ: Mapping[str, str]) -> None:
    shares = min(len(os.sched_getaffinity(0)), _MOST)
    pairs = [str(path) for pair in made.items() for path in pair]
    for folder in made.values():
        folder.mkdir()
    clean = neutral(environ)
    command = [str(python), "-I", "-W", "ignore", str(_PART)]
    processes = [child.start([*command, str(share), str(shares), *pairs], clean) for share in range(shares)]
    try:
        told = [process.communicate()[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, text in zip(processes, told, strict=True):
        if process.returncode in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(process.returncode, os.strerror(process.returncode), str(next(iter(made.values())).parent))
        if process.returncode:
            raise InstallFailed(f"{python} could not compile the wheels: {text.strip()[-1000:]}")


def _link(compiled: Path, place: Place) -> None:
    """Each file of ``compiled`` into the ``__pycache__`` of its module, where that was installed."""
    for here, _, files in os.walk(compiled):
        folder = place.site_packages / Path(here).relative_to(compiled)
        if not files or not folder.is_dir():  # a wheel's .data folder
            continue
        cache = folder / "__pycache__"
        cache.mkdir(exist_ok=True)
        for name in files:
            target = cache / name
            target.unlink(missing_ok=True)
            link_or_copy(Path(here, name), target, copies=place.copies)
