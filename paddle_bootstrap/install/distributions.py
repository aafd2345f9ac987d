"""What is installed in a site-packages folder, as its .dist-info folders say."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, canonicalize_version

from paddle_bootstrap.errors import InstallFailed, TargetRefused
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock.model import Wheel

_INFO = re.compile(r"(.+)-([^-]+)\.dist-info")


@dataclass(frozen=True)
class Distribution:
    """One installed distribution."""

    name: str  # normalised
    version: str
    record: Path  # may be missing


def site_packages_of(env: Path, python: Interpreter) -> Path:
    """Where packages of ``python`` stand in the environment ``env``; folders of an earlier Python may be there too.

    Raises InstallFailed; TargetRefused where a link leads out of ``env``: a clone would share with it what it leads to.
    """
    found = env / "lib" / f"python{python.minor}" / "site-packages"
    if not found.is_dir():
        raise InstallFailed(f"{env} has no {found.relative_to(env)}", hint=f"remove {env} and run the command again")
    require_inside(env, found)
    return found


def env_of(site_packages: Path) -> Path:
    """The environment that ``site_packages_of`` was asked for."""
    return site_packages.parents[2]


def require_inside(env: Path, path: str | Path) -> None:
    """``path`` and what it leads to stand in ``env``. Raises TargetRefused."""
    leads, top = os.path.realpath(path), os.path.realpath(env)
    if leads != top and not leads.startswith(top + os.sep):
        raise TargetRefused(
            f"{os.path.relpath(path, env)} in the target leads out of it, to {leads}: what stands there is not changed",
            hint="replace that link by what it leads to, or give another directory to --env",
        )


def present(site_packages: Path) -> dict[str, Distribution]:
    """Normalised name -> distribution."""
    found = ((match, path) for path in site_packages.iterdir() if (match := _INFO.fullmatch(path.name)))
    every = (Distribution(canonicalize_name(match[1]), match[2], path / "RECORD") for match, path in found)
    return {distribution.name: distribution for distribution in every}


def rows(record: Path) -> list[list[str]]:
    """The rows of a RECORD: path, hash, size. Raises OSError for one that is damaged, too."""
    try:
        return [row for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8"))) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ), str(record)) from error


def rows_if_any(record: Path) -> list[list[str]]:
    """The same; of one that is missing or damaged, none."""
    try:
        return rows(record)
    except OSError:
        return []


def text(rows: Sequence[Sequence[str]]) -> bytes:
    """A RECORD of these rows."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def deviations(site_packages: Path, wheels: Sequence[Wheel], receipt: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name -> why the folder does not hold that wheel as locked.

    That it has the name and the version says little (one file name stands for many builds): it must be what the receipt
    says was installed, and every file of it must still be there in its size.
    """
    installed = {row["name"]: row["sha256"] for row in receipt}
    here = present(site_packages)
    return {wheel.name: why for wheel in wheels if (why := _deviation(wheel, here.get(wheel.name), installed))}


def _deviation(wheel: Wheel, found: Distribution | None, installed: Mapping[str, str]) -> str | None:
    if found is None:
        return "is missing"
    if canonicalize_version(found.version) != canonicalize_version(wheel.version):
        return f"is {found.version}"
    if installed.get(wheel.name) != wheel.sha256:
        return "did not come from this lock"
    return next(_damage(found), None)


def _damage(found: Distribution) -> Iterator[str]:
    """Files that are gone or have another size. Rows without a size are our links and RECORD itself.

    Bytecode says nothing: NumPy's wheels bring some, which is compiled again because it names the place that it was built in.
    """
    root = os.path.dirname(os.path.dirname(found.record))  # noqa: PTH120 thousands of rows: strings are quick
    try:
        listed = rows(found.record)
    except OSError:
        yield f"lacks a readable {found.record}"
        return
    for row in listed:
        if len(row) < 3 or not row[2].isdigit() or row[0].endswith(".pyc"):
            continue
        try:
            if os.stat(f"{root}/{row[0]}").st_size != int(row[2]):  # noqa: PTH116
                yield f"has a changed file: {row[0]}"
        except OSError:
            yield f"lacks {row[0]}"
