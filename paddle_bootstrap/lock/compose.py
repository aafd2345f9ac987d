"""Rebuilds the shipped locks from ``sources.toml``: ``python -m paddle_bootstrap.lock.compose`` (``make locks``).

uv resolves, once per Python, with everything younger than the committed date left out; the index tells each file's size and
sha256; every wheel is downloaded once and hashed, whole and in pieces. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from uv import find_uv_bin

from paddle_bootstrap import progress
from paddle_bootstrap.errors import WrongBytes
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.pylock import SCHEMA, SHIPPED, TOOL, tomllib
from paddle_bootstrap.mirrors.configured import official_index

SOURCES = Path(__file__).with_name("sources.toml")
JSON_PAGE = "application/vnd.pypi.simple.v1+json"


@dataclass
class Pin:
    """One version of one distribution: the Pythons that take it, and each one's wheel."""

    name: str
    version: str
    group: str | None
    wheels: dict[str, Wheel] = field(default_factory=dict)  # python -> wheel


def main(argv: Sequence[str] | None = None) -> None:
    """Compose the locks named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m paddle_bootstrap.lock.compose", description=__doc__)
    parser.add_argument("--wheels", type=Path, default=Path(".test-cache/wheels"), help="where wheels are kept")
    parser.add_argument("--only", metavar="NAME", help="this lock alone")
    arguments = parser.parse_args(argv)
    arguments.wheels.mkdir(parents=True, exist_ok=True)
    sources = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    with progress.observed_by(progress.Drawing(sys.stderr)):
        for source in sources["lock"]:
            if arguments.only in (None, source["name"]):
                compose(source, sources["exclude_newer"], arguments.wheels)


def compose(source: Mapping[str, Any], newest: str, folder: Path) -> None:
    """Resolve, download, hash and write one lock and its pieces."""
    progress.step(f"composing {source['name']}")
    pins = _pins(source, newest)
    digests = {}
    sizes: dict[str, int] = dict.fromkeys(source["pythons"], 0)
    for pin in pins:
        for python, wheel in pin.wheels.items():
            path = _obtained(wheel, folder)
            sizes[python] += _unpacked(path)
            if wheel.filename not in digests:
                digests[wheel.filename] = pieces.of_file(path)
    path = SHIPPED / f"pylock.{source['name']}.toml"
    path.write_text(render(source, pins, max(sizes.values())), encoding="utf-8")
    pieces.path_for(path).write_text(pieces.render(digests), encoding="utf-8")


def _pins(source: Mapping[str, Any], newest: str) -> list[Pin]:
    pins: dict[tuple[str, str], Pin] = {}
    groups = {canonicalize_name(Requirement(item).name): name for name, items in source.get("groups", {}).items() for item in items}
    for python in source["pythons"]:
        tags = _tags(python, source["glibc"])
        for name, version in _resolved(source, python, newest):
            pin = pins.setdefault((name, version), Pin(name, version, groups.get(name)))
            pin.wheels[python] = _best(name, version, tags)
    return sorted(pins.values(), key=lambda pin: (pin.group or "", pin.name, Version(pin.version)))


def _resolved(source: Mapping[str, Any], python: str, newest: str) -> list[tuple[str, str]]:
    wanted = [*source["requirements"], *(item for items in source.get("groups", {}).values() for item in items)]
    constraints = Path(SHIPPED, ".constraints.txt")
    constraints.write_text("\n".join(source["constraints"]))
    command = [find_uv_bin(), "pip", "compile", "--no-config", "--no-header", "--no-annotate", "--quiet"]
    command += ["--only-binary", ":all:", "--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    command += ["--exclude-newer", newest, "--constraints", str(constraints), "-"]
    try:
        done = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"uv could not resolve {source['name']} for Python {python}:\n{error.stderr}")
    finally:
        constraints.unlink()
    pairs = [line.split(";")[0].strip().partition("==") for line in done.stdout.splitlines() if "==" in line]
    return [(canonicalize_name(name), version) for name, _, version in pairs]


def _tags(python: str, glibc: str) -> list[Tag]:
    """The tags of a CPython on the oldest host that the lock is for, so that one file serves every host."""
    minor = int(python.split(".")[1])
    oldest = int(glibc.split(".")[1])
    platforms = [f"manylinux_2_{number}_x86_64" for number in range(oldest, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    return [*cpython_tags((3, minor), platforms=platforms), *compatible_tags((3, minor), f"cp3{minor}", platforms)]


_pages: dict[str, Any] = {}


def _best(name: str, version: str, tags: Sequence[Tag]) -> Wheel:
    rank = {tag: position for position, tag in enumerate(tags)}
    fitting = [
        (min(rank[tag] for tag in parse_wheel_filename(file["filename"])[3] if tag in rank), file)
        for file in page(name)["files"]
        if file["filename"].endswith(".whl")
        and parse_wheel_filename(file["filename"])[1] == Version(version)
        and any(tag in rank for tag in parse_wheel_filename(file["filename"])[3])
    ]
    if not fitting:
        sys.exit(f"{name} {version} has no wheel for {tags[0]}")
    file = min(fitting, key=lambda pair: (pair[0], pair[1]["filename"]))[1]
    return Wheel(name, version, file["filename"], file["size"], file["hashes"]["sha256"])


def page(name: str) -> Any:
    """The official index's page of ``name`` as data (PEP 691), its files' addresses made absolute."""
    if name not in _pages:
        request = urllib.request.Request(f"{official_index()}/{name}/", headers={"Accept": JSON_PAGE})  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            _pages[name] = json.load(response)
    return _pages[name]



def _obtained(wheel: Wheel, folder: Path) -> Path:
    path = folder / wheel.filename
    if not path.exists():
        progress.step(f"downloading {wheel.filename}")
        url = next(file["url"] for file in page(wheel.name)["files"] if file["filename"] == wheel.filename)
        partial = path.with_suffix(".part")
        urllib.request.urlretrieve(url, partial)  # noqa: S310
        partial.replace(path)
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    if digest.hexdigest() != wheel.sha256 or path.stat().st_size != wheel.size:
        raise WrongBytes(f"{path} is not what the index says", hint=f"remove {path} and run again")
    return path


def _unpacked(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def render(source: Mapping[str, Any], pins: Iterable[Pin], unpacked: int) -> str:
    """The lock's text. ``unpacked``: bytes of the wheels of the largest Python, unpacked."""
    pythons = source["pythons"]
    groups = sorted(source.get("groups", {}))
    lines = [
        "# Made by `make locks` from sources.toml; do not edit.",
        'lock-version = "1.0"',
        "environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'"
        " and platform_python_implementation == 'CPython'\"]",
        f'requires-python = ">={pythons[0]},<3.{int(pythons[-1].split(".")[1]) + 1}"',
        *([f"dependency-groups = {_value(groups)}", f"default-groups = {_value(groups)}"] if groups else []),
        'created-by = "paddle-bootstrap"',
    ]
    for pin in pins:
        lines += ["", "[[packages]]", f'name = "{pin.name}"', f'version = "{pin.version}"']
        lines += [f"marker = {_value(marker)}"] if (marker := _marker(pin, pythons)) else []
        lines += ["wheels = [", *(_wheel_row(wheel) for wheel in _distinct(pin)), "]"]
    build = {key: value for key, value in source["build"].items() if key != "libraries"}
    lines += ["", f"[tool.{TOOL}]", f"schema = {SCHEMA}", *(f"{key} = {_value(value)}" for key, value in build.items())]
    lines += [f"unpacked_bytes = {unpacked}"]
    if libraries := source["build"].get("libraries"):
        lines += ["", f"[tool.{TOOL}.libraries]", f"group = {_value(libraries['group'])}", f"link = {_value(libraries['link'])}"]
        lines += ["", f"[tool.{TOOL}.libraries.needs]"]
        lines += [f"{_value(name)} = {_value(major)}" for name, major in libraries["needs"].items()]
    return "\n".join(lines) + "\n"


def _distinct(pin: Pin) -> list[Wheel]:
    return [wheel for _, wheel in sorted({wheel.filename: wheel for wheel in pin.wheels.values()}.items())]


def _wheel_row(wheel: Wheel) -> str:
    name = _value(wheel.filename)
    return f'    {{ name = {name}, path = {name}, size = {wheel.size}, hashes = {{ sha256 = "{wheel.sha256}" }} }},'


def _marker(pin: Pin, pythons: Sequence[str]) -> str | None:
    """The Pythons that take this version, said as one contiguous range, and its group."""
    taken = [python for python in pythons if python in pin.wheels]
    terms = [f"'{pin.group}' in dependency_groups"] if pin.group else []
    first, last = taken[0], taken[-1]
    if taken != list(pythons[pythons.index(first) : pythons.index(last) + 1]):
        sys.exit(f"{pin.name} {pin.version} is taken by {taken}: not one range")
    if first != pythons[0]:
        terms.append(f"python_version >= '{first}'")
    if last != pythons[-1]:
        terms.append(f"python_version <= '{last}'")
    return " and ".join(terms) or None


def _value(value: Any) -> str:
    return json.dumps(value)  # strings, numbers, booleans and lists look the same in TOML


if __name__ == "__main__":
    main()
