"""Rebuilds the shipped locks from ``sources.toml``: ``python -m paddle_bootstrap.lock.compose`` (``make locks``).

uv resolves, once per Python, with everything younger than the committed date left out; the index tells each file's size
and sha256; every wheel is downloaded once and hashed, whole and in pieces. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from paddle_bootstrap import progress, toml
from paddle_bootstrap.errors import BootstrapError, InstallFailed, NoMirrorServes, UsageError
from paddle_bootstrap.lock import pieces, resolving
from paddle_bootstrap.lock.asked import requirement
from paddle_bootstrap.lock.index import Index
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.pylock import SHIPPED
from paddle_bootstrap.lock.rendering import Pin, render
from paddle_bootstrap.lock.resolving import Question, tags_of
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.replacing import replace_files

SOURCES = Path(__file__).with_name("sources.toml")


@dataclass(frozen=True)
class Workshop:
    """Where wheels come from and are kept, and where locks are written."""

    index: Index
    wheels: Path
    into: Path


@dataclass(frozen=True)
class Given:
    """A wheel that the index does not hold, and the requirement that makes uv see its METADATA."""

    wheel: Wheel
    requirement: str


def main(argv: Sequence[str] | None = None) -> None:
    """Compose the locks named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m paddle_bootstrap.lock.compose", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="this lock alone")
    parser.add_argument("--wheels", type=Path, default=Path(".test-cache/wheels"), help="where wheels are kept")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="what to compose")
    parser.add_argument("--into", type=Path, default=SHIPPED, help="where locks are written")
    parser.add_argument(
        "--index", metavar="URL", help="ask this package index (PEP 691, PEP 700), not the official one"
    )
    arguments = parser.parse_args(argv)
    try:
        with progress.observed_by(progress.Drawing(sys.stderr)):
            _compose_all(arguments)
    except BootstrapError as error:
        parser.exit(error.exit_code, "\n".join([f"error: {error}", *error.tried, error.hint]).strip() + "\n")


def _compose_all(arguments: argparse.Namespace) -> None:
    sources = toml.read(arguments.sources)
    names = [source["name"] for source in sources["lock"]]
    if arguments.only not in (None, *names):
        raise UsageError(f"{arguments.sources} has no lock {arguments.only}", hint=f"it has {', '.join(names)}")
    address = arguments.index or official.address()
    if address is None:
        raise NoMirrorServes("uv does not name the official package index", hint="give one: --index URL")
    arguments.wheels.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(Index(address, sources["exclude_newer"]), arguments.wheels, arguments.into)
    for source in sources["lock"]:
        if arguments.only in (None, source["name"]):
            compose(source, workshop)


def compose(source: Mapping[str, Any], workshop: Workshop) -> None:
    """Resolve, download, hash and write one lock and its pieces."""
    progress.step(f"composing {source['name']}")
    path = workshop.into / f"pylock.{source['name']}.toml"
    require_place(path)
    pins = pins_of(source, workshop.index)
    wheels = {wheel.filename: wheel for pin in pins for wheel in pin.wheels.values()}
    files = {name: workshop.index.obtain(wheel, workshop.wheels) for name, wheel in wheels.items()}
    written(source, pins, files, path)


def pins_of(source: Mapping[str, Any], index: Index, given: Mapping[str, Given] | None = None) -> list[Pin]:
    """Every version that uv takes for each Python of ``source``, and its wheel.

    ``given``: for each Python a wheel that the index does not hold. What it pulls in is in a group when its name says so.
    """
    told = f"the requirements of {source['name']}"
    groups = {_name(item, told): group for group, items in source.get("groups", {}).items() for item in items}
    for name in (*(_name(item, told) for item in source["requirements"]), *groups):
        index.files(name)  # what uv says of an index that is not there reads like a package that is not there
    pins: dict[tuple[str, str], Pin] = {}
    for python in source["pythons"]:
        own = given[python] if given else None
        for found in resolving.resolve(_question(source, index, own), python):
            name = canonicalize_name(found.name)
            if own and name == own.wheel.name:
                wheel = own.wheel
            else:
                version = next(iter(found.specifier)).version
                wheel = index.best(name, version, tags_of(python, source["glibc"]))
            group = groups.get(name) or _group_of(name, source.get("grouped", {}))
            pins.setdefault((name, wheel.version), Pin(name, wheel.version, group)).wheels[python] = wheel
    return sorted(pins.values(), key=lambda pin: (pin.group or "", pin.name, Version(pin.version)))


def _question(source: Mapping[str, Any], index: Index, own: Given | None) -> Question:
    wanted = [*source["requirements"], *(item for items in source.get("groups", {}).values() for item in items)]
    return Question(
        name=source["name"],
        requirements=(*wanted, *([own.requirement] if own else [])),
        constraints=tuple(source["constraints"]),
        glibc=source["glibc"],
        index=index.with_login,
        newest=index.newest,
        certificate=index.certificate,
    )


def _group_of(name: str, grouped: Mapping[str, Sequence[str]]) -> str | None:
    """The group whose packages begin like ``name``."""
    return next((group for group, starts in grouped.items() if name.startswith(tuple(starts))), None)


def _name(text: str, told: str) -> str:
    return canonicalize_name(requirement(text, told).name)


def written(source: Mapping[str, Any], pins: Sequence[Pin], files: Mapping[str, Path], path: Path) -> Path:
    """The lock of ``pins`` at ``path``, and beside it the digests of every piece of ``files`` (by file name)."""
    digests = {name: pieces.measure(file).pieces for name, file in files.items()}
    unpacked = {name: pieces.unpacked_size(file) for name, file in files.items()}
    largest = max(
        sum(unpacked[pin.wheels[python].filename] for pin in pins if python in pin.wheels)
        for python in source["pythons"]
    )
    replace_texts({path: render(source, pins, largest), pieces.path_for(path): pieces.render(digests)})
    return path


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Every file is written whole before the first gets its name. Raises InstallFailed."""
    try:
        replace_files({path: text.encode("utf-8") for path, text in texts.items()}, keep_owner=True)
    except OSError as error:
        raise _unwritable(next(iter(texts)), error) from error


def require_place(path: Path) -> None:
    """Raises InstallFailed where no file can be made beside ``path``: to be known before gigabytes are fetched for it."""
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InstallFailed:
    return InstallFailed(
        f"cannot write the lock {path}: {error.strerror}",
        hint=f"name a place where this user can write and that has room, or make {path.parent} one",
    )


if __name__ == "__main__":
    main()
