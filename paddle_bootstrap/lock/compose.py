"""Rebuilds the shipped locks from ``sources.toml``: ``python -m paddle_bootstrap.lock.compose`` (``make locks``).

uv resolves, once per Python, with everything younger than the committed date left out; the index tells each file's size
and sha256; every wheel is downloaded once and hashed, whole and in pieces. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version
from uv import find_uv_bin

from paddle_bootstrap import progress, toml
from paddle_bootstrap.errors import BootstrapError, NoBuildFits, NoMirrorServes, UsageError
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.index import Index
from paddle_bootstrap.lock.pylock import SHIPPED
from paddle_bootstrap.lock.rendering import Pin, render
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.mirrors.redact import redact

SOURCES = Path(__file__).with_name("sources.toml")
_KEPT_OUT = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")  # settings of whoever composes may not reach the lock
_KEPT = ("UV_CACHE_DIR",)
_PLATFORMS = (17, 28, *range(31, 41))  # minor versions of glibc that uv's --python-platform takes


@dataclass(frozen=True)
class Workshop:
    """Where wheels come from and are kept, and where locks are written."""

    index: Index
    wheels: Path
    into: Path


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
    pins = _pins(source, workshop.index)
    digests: dict[str, tuple[str, ...]] = {}
    unpacked: dict[str, int] = {}
    for wheel in (wheel for pin in pins for wheel in pin.wheels.values()):
        if wheel.filename not in digests:
            path, measured = workshop.index.obtain(wheel, workshop.wheels)
            digests[wheel.filename] = measured.pieces
            unpacked[wheel.filename] = pieces.unpacked_size(path)
    largest = max(
        sum(unpacked[pin.wheels[python].filename] for pin in pins if python in pin.wheels)
        for python in source["pythons"]
    )
    path = workshop.into / f"pylock.{source['name']}.toml"
    _write({path: render(source, pins, largest), pieces.path_for(path): pieces.render(digests)})


def _pins(source: Mapping[str, Any], index: Index) -> list[Pin]:
    groups = {_name(item): group for group, items in source.get("groups", {}).items() for item in items}
    for name in (*map(_name, source["requirements"]), *groups):
        index.files(name)  # what uv says of an index that is not there reads like a package that is not there
    pins: dict[tuple[str, str], Pin] = {}
    for python in source["pythons"]:
        tags = tags_of(python, source["glibc"])
        for found in _resolved(source, python, index):
            name, version = canonicalize_name(found.name), next(iter(found.specifier)).version
            pin = pins.setdefault((name, version), Pin(name, version, groups.get(name)))
            pin.wheels[python] = index.best(name, version, tags)
    return sorted(pins.values(), key=lambda pin: (pin.group or "", pin.name, Version(pin.version)))


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _resolved(source: Mapping[str, Any], python: str, index: Index) -> list[Requirement]:
    """What uv takes for ``python``, each pinned with ``==``."""
    wanted = [*source["requirements"], *(item for items in source.get("groups", {}).values() for item in items)]
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(_KEPT_OUT)}
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(source["constraints"]), encoding="utf-8")
        command = [find_uv_bin(), "pip", "compile", "--no-config", "--no-header", "--no-annotate", "--quiet"]
        command += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", python]
        command += ["--python-platform", _platform(source["glibc"])]
        command += ["--exclude-newer", index.newest, "--constraints", str(constraints), "-"]
        done = subprocess.run(
            command,
            input="\n".join(wanted),
            capture_output=True,
            text=True,
            env={**kept, "UV_DEFAULT_INDEX": index.address},
            check=False,
        )
    if done.returncode:
        raise NoBuildFits(
            f"uv could not resolve {source['name']} for Python {python}", tried=[redact(done.stderr.strip())]
        )
    return [Requirement(line) for line in done.stdout.splitlines() if "==" in line]


def _platform(glibc: str) -> str:
    """The newest platform uv knows that such a host can run: what fits that fits the host."""
    wanted = int(glibc.split(".")[1])
    return f"x86_64-manylinux_2_{max(minor for minor in _PLATFORMS if minor <= wanted)}"


def tags_of(python: str, glibc: str) -> list[Tag]:
    """The tags of a CPython on the oldest host that the lock is for, so that one file serves every host."""
    minor, oldest = int(python.split(".")[1]), int(glibc.split(".")[1])
    legacy = {17: "manylinux2014_x86_64", 12: "manylinux2010_x86_64", 5: "manylinux1_x86_64"}
    platforms = ["linux_x86_64"]
    for number in range(oldest, 4, -1):
        platforms += [f"manylinux_2_{number}_x86_64", *([legacy[number]] if number in legacy else [])]
    return [*cpython_tags((3, minor), platforms=platforms), *compatible_tags((3, minor), f"cp3{minor}", platforms)]


def _write(texts: Mapping[Path, str]) -> None:
    """Every file is written whole before the first gets its name."""
    for path, text in texts.items():
        path.with_name(path.name + ".new").write_text(text, encoding="utf-8")
    for path in texts:
        path.with_name(path.name + ".new").replace(path)


if __name__ == "__main__":
    main()
