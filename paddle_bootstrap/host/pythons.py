"""Finds the Pythons of this host and asks each what it is, by running it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.version import Version

from paddle_bootstrap.errors import NoInterpreter, UsageError
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.host.python_places import candidates

PROBE = Path(__file__).with_name("probe_python.py")
DEADLINE = (
    15.0  # seconds, for all together; a cold network file system is slow, a shell that waits for input is no Python
)
_VERSION = re.compile(r"(?:python)?(\d+(?:\.\d+){0,2})?")
_JUDGED = {"free_threaded", "platform", "bits"}  # told by the probe, kept as a sentence
_MOST = 32  # at once: they wait for disks


def probe(path: Path | str, *, deadline: float = DEADLINE) -> Interpreter:
    """What the interpreter at ``path`` is. Raises NoInterpreter saying what happened instead."""
    try:
        return _interpreter(str(path), json.loads(_answer(path, deadline)))
    except subprocess.TimeoutExpired as error:
        raise NoInterpreter(f"{path} did not answer in {deadline:.2g} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise NoInterpreter(f"{path} is not a usable Python: {last[0][:300]}") from error
    except OSError as error:
        raise NoInterpreter(f"{path} cannot be run: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoInterpreter(f"{path} is not a Python: it did not answer as one") from error


def _answer(path: Path | str, deadline: float) -> str:
    """What it prints when it runs the probe. A wrapper script may have started others: all of them are ended."""
    command = [str(path), "-I", str(PROBE)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=deadline)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return out


def _interpreter(path: str, told: dict[str, object]) -> Interpreter:
    data = {key: value for key, value in told.items() if key not in _JUDGED}
    version, odd = str(told["version"]), _odd(told)
    native = told["implementation"] == "cpython" and odd in ("", "free-threaded")
    tags = _tags(version, free_threaded=bool(odd)) if native else ()
    return Interpreter(path=os.path.abspath(path), tags=tags, odd=odd, **data)  # type: ignore[arg-type]  # noqa: PTH100 links are kept


def _odd(told: Mapping[str, object]) -> str:
    if told["implementation"] != "cpython":
        return "not CPython"
    if told.get("bits") == 32:
        return "32 bits"
    if str(told.get("platform", "")).endswith("musl"):
        return "of musl, no glibc"
    return "free-threaded" if told["free_threaded"] else ""


@functools.cache
def _tags(version: str, *, free_threaded: bool) -> tuple[str, ...]:
    """The wheel tags of a CPython of ``version`` on this very machine."""
    major, minor = (int(part) for part in version.split(".")[:2])
    short = f"cp{major}{minor}"
    platforms = list(platform_tags())
    native = cpython_tags((major, minor), abis=[short + "t"] if free_threaded else None, platforms=platforms)
    return tuple(str(tag) for tag in (*native, *compatible_tags((major, minor), short, platforms)))


def planned(version: str, path: Path, offered: str) -> Interpreter:
    """A CPython of ``version`` that ``offered`` can serve, to become ``path``: which wheels it will take, on this host."""
    here = probe(sys.executable)
    told = {
        "python_full_version": version,
        "implementation_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    prefix = str(path.parent.parent)
    return replace(
        here,
        path=str(path),
        version=version,
        implementation="cpython",
        markers={**here.markers, **told},
        tags=_tags(version, free_threaded=False),
        prefix=prefix,
        base_prefix=prefix,
        site_packages=f"{prefix}/lib/python{told['python_version']}/site-packages",
        conda=False,
        odd="",
        offered=offered,
    )


@dataclass(frozen=True)
class Search:
    """``found``: working Pythons, newest first, each once. ``silent``: why others that look like one are none."""

    found: tuple[Interpreter, ...]
    silent: tuple[str, ...]


def search(environ: Mapping[str, str], *, deadline: float = DEADLINE) -> Search:
    """Ask every Python of this host, side by side, for ``deadline`` seconds in all."""
    first: dict[str, Path] = {}
    for candidate in candidates(environ):
        first.setdefault(os.path.realpath(candidate), candidate)
    end = time.monotonic() + deadline

    def ask(path: Path) -> Interpreter | str:
        try:
            return probe(path, deadline=max(end - time.monotonic(), 0.0))
        except NoInterpreter as error:
            return str(error)

    with ThreadPoolExecutor(_MOST) as threads:
        told = list(threads.map(ask, first.values()))
    found = [item for item in told if isinstance(item, Interpreter)]
    found.sort(key=lambda item: (Version(item.minor), not item.conda, Version(item.version)), reverse=True)
    return Search(tuple(found), tuple(item for item in told if isinstance(item, str)))


def find(environ: Mapping[str, str]) -> tuple[Interpreter, ...]:
    """Every working Python of this host, newest first, each once; of one minor version, conda's come last."""
    return search(environ).found


def choose(wanted: str | None, minors: Collection[str], environ: Mapping[str, str]) -> Interpreter:
    """The interpreter for a new target.

    ``wanted`` is a version ("3.11", "3.11.7", "python3.11") or a path of a Python or of an environment; None: the newest found
    among ``minors`` (all when empty). Raises NoInterpreter that lists everything found and why it is not taken.
    """
    if wanted and os.sep in wanted:
        return at(wanted)
    version = version_of(wanted)
    seen = search(environ)
    judged = [(item, _misfit(item, version, minors)) for item in seen.found]
    fitting = [item for item, reason in judged if reason is None]
    if fitting:
        return fitting[0]
    needed = f"Python {version}" if version else f"a Python that the lock serves ({', '.join(minors)})"
    listed = [f"found {item.implementation} {item.version}: {item.path} ({reason})" for item, reason in judged]
    raise NoInterpreter(
        f"{needed} was not found on this host",
        tried=[*listed, *seen.silent] or ["found none"],
        hint="install one (apt-get install python3; or uv python install 3.11), or give its path to --python",
    )


def at(wanted: str) -> Interpreter:
    """The Python at the path ``wanted``, or in the environment or installation there."""
    path = os.path.join(wanted, "bin", "python3") if os.path.isdir(wanted) else wanted  # noqa: PTH112, PTH118 never an error
    try:
        told = os.stat(path)  # noqa: PTH116
    except OSError:
        return probe(path)
    return _asked_once(path, (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns))


@functools.cache
def _asked_once(path: str, _state: tuple[int, ...]) -> Interpreter:
    """A run asks for the named Python more than once, and each answer is a process; another file is another question."""
    return probe(path)


def version_of(wanted: str | None) -> str:
    """The version in ``--python``: ``3.11`` of ``python3.11``; empty for any. Raises UsageError for what is none."""
    found = _VERSION.fullmatch(wanted or "")
    if found is None:
        raise UsageError(
            f"--python {wanted}: neither a version nor a path", hint="write 3.11, 3.11.7 or /usr/bin/python3.11"
        )
    return found[1] or ""


def _misfit(item: Interpreter, version: str, minors: Collection[str]) -> str | None:
    if item.odd:
        return item.odd
    if version:
        return None if f"{item.version}.".startswith(f"{version}.") else f"not {version}"
    return None if not minors or item.minor in minors else "the lock has no wheel for it"
