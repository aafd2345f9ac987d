"""Finds the Pythons of this host and asks each what it is, by running it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.version import Version

from paddle_bootstrap.errors import NoInterpreter
from paddle_bootstrap.host.interpreter import Interpreter

PROBE = Path(__file__).with_name("probe_python.py")
NAME = re.compile(r"python3(\.\d+)?t?")
DEADLINE = 15.0  # seconds; a cold network file system is slow, a shell that waits for input is not a Python


def probe(path: Path | str, *, deadline: float = DEADLINE) -> Interpreter:
    """What the interpreter at ``path`` is. Raises NoInterpreter saying what happened instead."""
    command = [str(path), "-I", str(PROBE)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline, check=True
        )
        return _interpreter(str(path), json.loads(done.stdout))
    except subprocess.TimeoutExpired as error:
        raise NoInterpreter(f"{path} did not answer in {deadline:g} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise NoInterpreter(f"{path} is not a usable Python: {last[0]}") from error
    except OSError as error:
        raise NoInterpreter(f"{path} cannot be run: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoInterpreter(f"{path} is not a Python: it did not answer as one") from error


def _interpreter(path: str, told: dict[str, object]) -> Interpreter:
    data: dict[str, object] = {key: value for key, value in told.items() if key != "free_threaded"}
    version = str(told["version"])
    tags = _tags(version, free_threaded=bool(told["free_threaded"])) if told["implementation"] == "cpython" else ()
    return Interpreter(path=os.path.abspath(path), tags=tags, **data)  # type: ignore[arg-type]  # noqa: PTH100 links are kept


def _tags(version: str, *, free_threaded: bool) -> tuple[str, ...]:
    """The wheel tags of a CPython of ``version`` on this very machine."""
    major, minor = (int(part) for part in version.split(".")[:2])
    short = f"cp{major}{minor}"
    platforms = list(platform_tags())
    native = cpython_tags((major, minor), abis=[short + "t"] if free_threaded else None, platforms=platforms)
    return tuple(str(tag) for tag in (*native, *compatible_tags((major, minor), short, platforms)))


def find(environ: Mapping[str, str]) -> tuple[Interpreter, ...]:
    """Every working Python found on PATH, in pyenv and among uv's own, newest first, each once."""
    found: dict[str, Interpreter] = {}
    for candidate in _candidates(environ):
        real = os.path.realpath(candidate)
        if real not in found:
            try:
                found[real] = probe(candidate)
            except NoInterpreter:
                continue
    return tuple(sorted(found.values(), key=lambda item: Version(item.version), reverse=True))


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/"))
    for folder in environ.get("PATH", "").split(os.pathsep):
        # a pyenv shim answers for whichever version is active, so the versions themselves are looked at instead
        if folder and Path(folder).name != "shims":
            yield from (path for path in _matching(Path(folder), "python3*") if NAME.fullmatch(path.name))
    yield from (path for path in _matching(Path("/usr/bin"), "python3.*") if NAME.fullmatch(path.name))
    yield from _matching(Path(environ.get("PYENV_ROOT", home / ".pyenv")), "versions/*/bin/python")
    data = Path(environ.get("XDG_DATA_HOME", home / ".local" / "share"))
    yield from _matching(Path(environ.get("UV_PYTHON_INSTALL_DIR", data / "uv" / "python")), "*/bin/python3")


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Nothing where this user may not look: root's PYENV_ROOT after a sudo."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def choose(wanted: str | None, minors: Collection[str], environ: Mapping[str, str]) -> Interpreter:
    """The interpreter for a new target.

    ``wanted`` is a version ("3.11", "3.11.7", "python3.11") or a path; None: the newest found among ``minors`` (all when
    empty). Raises NoInterpreter that lists everything found.
    """
    if wanted and os.sep in wanted:
        return probe(wanted)
    found = find(environ)
    version = (wanted or "").removeprefix("python")
    fitting = [
        item
        for item in found
        if item.implementation == "cpython"
        and (not minors or item.minor in minors or version)
        and (not version or item.version == version or item.version.startswith(version + "."))
    ]
    if fitting:
        return fitting[0]
    needed = f"Python {version}" if version else f"a Python that the lock serves ({', '.join(minors)})"
    raise NoInterpreter(
        f"{needed} was not found on this host",
        tried=[f"found {item.implementation} {item.version}: {item.path}" for item in found] or ["found none"],
        hint="install one (apt-get install python3-venv; or uv python install 3.11), or give its path to --python",
    )
