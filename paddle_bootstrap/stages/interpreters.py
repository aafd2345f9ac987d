"""The Python of a new target: one of this host, else one that a mirror of interpreters can bring."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from pathlib import Path

from packaging.version import Version

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoInterpreter
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import uv
from paddle_bootstrap.mirrors.interpreters import interpreter_mirrors
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.stages.wish import Wish


def choose_python(wish: Wish, minors: Collection[str]) -> Interpreter:
    """The interpreter that ``wish`` asks for, else the best of ``minors``. Nothing is downloaded here: one that only a
    mirror has says so (``offered``). Raises NoInterpreter that tells what was found and what could be had."""
    try:
        return pythons.choose(wish.python, minors, wish.environ)
    except NoInterpreter as error:
        if wish.offline or (wish.python and os.sep in wish.python):
            raise
        mirrors = _mirrors(wish)
        if not mirrors:
            raise NoInterpreter(
                str(error),
                tried=[*error.tried, "no mirror of interpreters is set, so none is downloaded"],
                hint="install one (apt-get install python3), give its path to --python, or let one be downloaded: "
                "paddle-bootstrap mirror use python-build-standalone",
            ) from error
        return _offered(wish, minors, mirrors, error)


def bring(wish: Wish, python: Interpreter) -> None:
    """Install ``python`` if it is one that a mirror offers. Raises NoInterpreter when another one came."""
    if not python.offered:
        return
    progress.step(f"fetching Python {python.version} from {python.offered}")
    uv.install_python(python.version, _mirrors(wish), wish.environ)
    came = pythons.probe(python.path)
    if (came.version, came.tags) != (python.version, python.tags):
        raise NoInterpreter(
            f"{python.path} was to be Python {python.version}, but it is {came.implementation} {came.version}",
            tried=[f"asked of {python.offered}"],
            hint=f"remove {Path(python.path).parent.parent} and give another --python",
        )


def _offered(wish: Wish, minors: Collection[str], mirrors: tuple[Mirror, ...], error: NoInterpreter) -> Interpreter:
    """The newest of the wanted ones that uv can install."""
    version = pythons.version_of(wish.python)
    wanted = [version] if version else sorted(minors, key=Version, reverse=True) or ["3"]
    names = ", ".join(mirror.redacted for mirror in mirrors)
    for each in wanted:
        if offer := uv.offered(each, wish.environ):
            return pythons.planned(offer.version, offer.path, names)
    none = f"uv knows no Python {' or '.join(wanted)} for {platform.machine()}, so {names} was not asked"
    raise NoInterpreter(str(error), tried=[*error.tried, none], hint=error.hint) from error


def _mirrors(wish: Wish) -> tuple[Mirror, ...]:
    return () if wish.offline else interpreter_mirrors(wish.environ, cwd=wish.cwd, tables=wish.mirror_tables)
