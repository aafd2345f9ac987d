"""A static package index (PEP 503, with PEP 658 metadata) of a bundle's wheels: pip, uv and any web server can use it.

DIR/simple/index.html, DIR/simple/NAME/index.html, and the wheels beside it; DIR/lock/ holds the lock.
"""

from __future__ import annotations

import hashlib
import html
import zipfile
from collections.abc import Iterable, Mapping
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import quote

from packaging.utils import parse_wheel_filename

from paddle_bootstrap.bundle.opening import WHEELS, Opened, judged
from paddle_bootstrap.bundle.reading import WRONG_BYTES, Bundle, Member, Refused, matches
from paddle_bootstrap.digest import sha256_of
from paddle_bootstrap.errors import InstallFailed, UsageError

_PAGE = "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>\n{links}</body></html>\n"


def fill(bundle: Opened, tree: Path) -> tuple[Path, ...]:
    """Put every wheel of the bundle, the tool's own too, into the index at ``tree``, and its lock beside; returns the wheels.

    Wheels that other bundles brought stay. Raises WrongBytes, UsageError for a folder instead of the bundle's file.
    """
    if bundle.path.is_dir():
        raise UsageError(f"{bundle.path} is a folder", hint="give the bundle's file, or its part .001")
    try:
        with judged(), Bundle(bundle.path) as file:
            wheels = dict(_placed(file, tree))
        for folder in sorted({path.parent for path in wheels}):
            _write_page(folder, wheels)
        names = sorted(path.name for path in (tree / "simple").iterdir() if path.is_dir())
        links = "".join(f'<a href="{name}/">{name}</a><br>\n' for name in names)
        (tree / "simple" / "index.html").write_text(_PAGE.format(title="packages", links=links), encoding="utf-8")
    except OSError as error:
        hint = "give --tree a folder of yours with enough room"
        raise InstallFailed(f"cannot write {error.filename or tree}: {error.strerror}", hint=hint) from error
    return tuple(wheels)


def _placed(file: Bundle, tree: Path) -> Iterable[tuple[Path, str]]:
    """Each wheel with its sha256, which its bytes have just been compared with."""
    for row in file.members():
        name = row["name"].rsplit("/", 1)[-1]
        if row["name"].startswith(("lock/", WHEELS)) or name.endswith(".whl"):
            is_wheel = name.endswith(".whl")
            place = tree / "simple" / parse_wheel_filename(name)[0] / name if is_wheel else tree / row["name"]
            _place(file, row, place)
            if is_wheel:
                yield place, row["sha256"]
        else:
            file.skip(row)


def _place(file: Bundle, row: Member, place: Path) -> None:
    if not place.exists():
        file.save(row, place)
    elif matches(place, row):
        file.skip(row)
    else:
        raise Refused(
            WRONG_BYTES, f"{place} is there with other bytes", "give --tree another folder, or remove that file"
        )


def _write_page(folder: Path, known: Mapping[Path, str]) -> None:
    """The page of one project, from the wheels that are there, those of other bundles too."""
    links = "".join(_link(path, known.get(path) or sha256_of(path)) for path in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(_PAGE.format(title=folder.name, links=links), encoding="utf-8")


def _link(wheel: Path, sha256: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(
            name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        metadata = archive.read(name)
    wheel.with_name(wheel.name + ".metadata").write_bytes(metadata)
    python = HeaderParser().parsestr(metadata.decode("utf-8", "replace"))["Requires-Python"]
    wanted = f' data-requires-python="{html.escape(python)}"' if python else ""
    core = hashlib.sha256(metadata).hexdigest()
    address = f"{quote(wheel.name)}#sha256={sha256}"
    return f'<a href="{address}" data-dist-info-metadata="sha256={core}"{wanted}>{html.escape(wheel.name)}</a><br>\n'
