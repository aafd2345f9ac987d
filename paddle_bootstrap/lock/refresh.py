"""Asks PyPI what it can answer of releases.toml, ``python -m paddle_bootstrap.lock.refresh`` (``make releases``).

Versions, Pythons, file tags and sizes of the rows that PyPI serves are put right and shown as a diff; the READMEs' table is
made anew. What only Paddle's own index serves is looked up by people, and stays.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from paddle_bootstrap.errors import BootstrapError, NoMirrorServes
from paddle_bootstrap.lock.index import Index
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.releases import support
from paddle_bootstrap.releases.model import TABLE, Release, read

OLDEST = Version("2.4.2")  # nothing before it is of use to anybody
READMES = tuple(TABLE.parents[2] / name for name in ("README.md", "README.zh-CN.md"))
Files = Mapping[str, Mapping[str, tuple[str, int]]]  # version -> Python -> (file tag, bytes)


def main(argv: Sequence[str] | None = None) -> None:
    """Exit code 0: done; with --check: nothing would change, else 1."""
    parser = argparse.ArgumentParser(prog="python -m paddle_bootstrap.lock.refresh", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when something would change")
    parser.add_argument(
        "--index", metavar="URL", help="ask this package index (PEP 691, PEP 700), not the official one"
    )
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to refresh")
    parser.add_argument("--readme", type=Path, action="append", help="what holds the table of builds; repeatable")
    arguments = parser.parse_args(argv)
    try:
        texts = _texts(arguments)
    except BootstrapError as error:
        parser.exit(error.exit_code, "\n".join([f"error: {error}", *error.tried, error.hint]).strip() + "\n")
    changed = [path for path, text in texts.items() if _shown(path, text)]
    for path in () if arguments.check else changed:
        path.write_text(texts[path], encoding="utf-8")
    parser.exit(1 if arguments.check and changed else 0)


def _texts(arguments: argparse.Namespace) -> dict[Path, str]:
    address = arguments.index or official.address()
    if address is None:
        raise NoMirrorServes("uv does not name the official package index", hint="give one: --index URL")
    index = Index(address, None)
    served = {name: _files(name, index.files(name)) for name in ("paddlepaddle", "paddlepaddle-gpu")}
    text = refreshed(arguments.table.read_text(encoding="utf-8"), served)
    known = read(text)
    sys.stderr.writelines(f"{line}\n" for line in _unknown(served, known))
    readmes = arguments.readme or READMES
    return {
        arguments.table: text,
        **{path: support.replaced(path.read_text(encoding="utf-8"), known) for path in readmes},
    }


def refreshed(text: str, served: Mapping[str, Files]) -> str:
    """``text`` of a table with what PyPI says of the rows that it serves; a version that is gone is served nowhere."""
    document = tomlkit.parse(text)
    for row in document["release"]:
        if row["served"] == "pypi":
            _refresh(row, served[row["package"]].get(row["version"], {}))
    return tomlkit.dumps(document)


def _refresh(row: Any, files: Mapping[str, tuple[str, int]]) -> None:
    if not files:
        row["served"] = "nowhere"
        row["note"] = "gone from PyPI"
        return
    pythons = sorted(files, key=Version)
    sizes = tomlkit.inline_table()
    for python in pythons:
        sizes[python] = files[python][1]
    wanted = {"pythons": pythons, "file_tag": files[pythons[-1]][0], "sizes": sizes}
    for key, value in wanted.items():
        if key not in row or row[key] != value:
            row[key] = value


def _files(package: str, listed: Iterable[Mapping[str, Any]]) -> Files:
    """The wheels for CPython on Linux x86-64, from ``OLDEST`` on."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for file in listed:
        try:
            name, version, _, tags = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:
            continue
        for tag in tags if name == package and version >= OLDEST else ():
            if tag.interpreter.startswith("cp3") and tag.platform.endswith("linux1_x86_64"):
                python = f"3.{tag.interpreter.removeprefix('cp3')}"
                found.setdefault(str(version), {})[python] = (tag.platform, file["size"])
    return found


def _unknown(served: Mapping[str, Files], table: Sequence[Release]) -> list[str]:
    """Versions that PyPI serves and the table lacks; a pre-release is nobody's default and needs no row."""
    known = {(each.package, each.version) for each in table}
    return [
        f"not in the table: {package} {version}, for Python {', '.join(sorted(files[version], key=Version))}"
        for package, files in served.items()
        for version in sorted(files, key=Version)
        if (package, version) not in known and not Version(version).is_prerelease
    ]


def _shown(path: Path, text: str) -> bool:
    """The diff, on standard output; whether there is one."""
    old = path.read_text(encoding="utf-8")
    sys.stdout.writelines(
        difflib.unified_diff(
            old.splitlines(keepends=True), text.splitlines(keepends=True), f"a/{path.name}", f"b/{path.name}", n=1
        )
    )
    return old != text


if __name__ == "__main__":
    main()
