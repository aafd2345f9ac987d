"""Bytecode of wheels, compiled once for each Python beside the unpacked wheel: a target gets links to it.

A traceback names the target's files all the same: an import corrects the path in what it loads.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import child
from paddle_bootstrap.install.wheels import Place, link_or_copy
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.surroundings import neutral

_PART = Path(__file__).with_name("compile_part.py")
_MOST = 16  # processes; beyond it the disk decides
_STANDS_BACK = 10  # nice: unpacking has the cores first


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


class Early:
    """Compiles what arrives while the rest is on its way, out of idle time: a ``fetch.alongside.Compiler``.

    What fails here is tried again by ``install``, which tells. It has its name when its wheel has.
    """

    def __init__(self, python: Interpreter, environ: Mapping[str, str]) -> None:
        self.python = python
        self.environ = environ
        self._pool = ThreadPoolExecutor(1)  # a wheel at a time: each takes all cores
        self._made: dict[str, tuple[Path, Future[None]]] = {}
        self._started: list[subprocess.Popen[str]] = []

    def begin(self, wheel: Wheel, folder: Path) -> None:
        made = _kept(folder, self.python)
        shutil.rmtree(made, ignore_errors=True)  # of a killed run
        python = Path(self.python.path)
        future = self._pool.submit(_compile, python, {folder: made}, self.environ, _STANDS_BACK, self._started)
        self._made[wheel.sha256] = made, future

    def finish(self, wheel: Wheel) -> None:
        """Wait for what has begun; what has not is left to ``install``."""
        made, future = self._made.get(wheel.sha256, (None, None))
        if made and future and (future.cancel() or future.exception()):
            shutil.rmtree(made, ignore_errors=True)

    def keep(self, wheel: Wheel, unpacked: Path) -> None:
        made, _ = self._made.pop(wheel.sha256, (None, None))
        if made and made.is_dir():
            _keep(made, _kept(unpacked, self.python))

    def close(self) -> None:
        for process in self._started:
            process.kill()
        self._pool.shutdown(cancel_futures=True)
        for made, _ in self._made.values():
            shutil.rmtree(made, ignore_errors=True)


def _kept(folder: Path, python: Interpreter, suffix: str = "") -> Path:
    """Where the bytecode of an unpacked wheel stands, or would; it goes with the wheel."""
    return folder.with_name(f"{folder.name}.cpython-{python.minor.replace('.', '')}{suffix}")


def _keep(made: Path, kept: Path) -> None:
    try:
        made.rename(kept)
    except OSError:  # another run was quicker
        if not kept.is_dir():
            raise


def _compile(
    python: Path,
    made: Mapping[Path, Path],
    environ: Mapping[str, str],
    nice: int = 0,
    started: list[subprocess.Popen[str]] | None = None,
) -> None:
    shares = min(len(os.sched_getaffinity(0)), _MOST)
    pairs = [str(path) for pair in made.items() for path in pair]
    for folder in made.values():
        folder.mkdir()
    clean = neutral(environ)
    command = [str(python), "-I", "-W", "ignore", str(_PART)]
    processes = [child.start([*command, str(share), str(shares), *pairs], clean, nice) for share in range(shares)]
    if started is not None:
        started += processes
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
