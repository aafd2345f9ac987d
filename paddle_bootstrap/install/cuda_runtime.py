"""Where a build's CUDA libraries come from: NVIDIA's wheels in the target, linked for the loader, or the system's own.

Paddle 2.6 asks the loader for unversioned names (libcudnn.so). The wheels hold versioned ones, so both names are linked into
paddle/libs, where libphi.so looks first (RUNPATH $ORIGIN): plain ``python train.py`` works with no variable set. The links
stand in Paddle's RECORD, so an uninstaller removes them.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install import distributions
from paddle_bootstrap.install.elf import soname
from paddle_bootstrap.lock.model import Build, CudaLibraries, CudaRuntime, Lock
from paddle_bootstrap.replacing import replace_file

_DEFAULT_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib")
_CUDNN_FOLDER = "usr/local/cuda/lib64"  # Paddle 2.6 looks here for cuDNN alone (paddle/phi/backends/dynload)


@dataclass(frozen=True)
class CudaChoice:
    """``libraries``: which file of the system serves each name, for runtime ``system``."""

    runtime: CudaRuntime
    reason: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    def groups(self, lock: Lock) -> tuple[str, ...]:
        """The dependency groups that this choice installs."""
        deselected = lock.build.libraries.group if lock.build and lock.build.libraries else None
        return tuple(name for name in lock.default_groups if self.runtime == "wheels" or name != deselected)


def resolve(
    mode: Literal["auto", "wheels", "system"], build: Build | None, root: Path, environ: Mapping[str, str]
) -> CudaChoice:
    """Decide for ``build`` on the host whose file system is at ``root``. Raises InstallFailed when ``system`` lacks one."""
    if build is None or build.libraries is None:
        return CudaChoice("none", "this build needs no CUDA libraries")
    if mode == "wheels":
        return CudaChoice("wheels", "as asked")
    if not build.libraries.needs:
        if mode == "system":
            raise InstallFailed(
                f"{build.package} {build.version} loads NVIDIA's wheels, which its METADATA pins, and not the system's CUDA",
                hint="use NVIDIA's wheels: --cuda-runtime wheels",
            )
        return CudaChoice("wheels", "its METADATA pins NVIDIA's wheels")
    served, missing = _on_system(build.libraries, root, environ)
    if not missing:
        return CudaChoice("system", "every library is there in the right major", served)
    if mode == "auto":
        return CudaChoice("wheels", f"the system lacks {', '.join(missing)}")
    raise InstallFailed(
        f"the system's CUDA cannot serve {build.package} {build.version}",
        tried=[f"{name}: {why}" for name, why in missing.items()],
        hint="use NVIDIA's wheels: --cuda-runtime wheels",
    )


def _on_system(
    libraries: CudaLibraries, root: Path, environ: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    served: dict[str, str] = {}
    missing: dict[str, str] = {}
    folders = tuple(_folders(root, environ))
    for name, major in libraries.needs.items():
        places = (*folders, root / _CUDNN_FOLDER) if name.startswith("libcudnn") else folders
        first = next((folder / name for folder in places if (folder / name).is_file()), None)
        wanted = f"{name}.{major}"
        if first is None:
            missing[name] = "not found under this name"
        elif (found := soname(first)) != wanted and not (found or "").startswith(wanted + "."):
            missing[name] = f"{first} is {found}, the build needs {wanted}"
        else:
            served[name] = os.path.realpath(first)
    return served, missing


def _folders(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the loader looks, in its order."""
    for folder in environ.get("LD_LIBRARY_PATH", "").split(":"):
        if folder:
            yield Path(folder)
    yield from _configured(root, root / "etc/ld.so.conf", 0)
    yield from (root / folder for folder in _DEFAULT_FOLDERS)


def _configured(root: Path, path: Path, depth: int) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in (line.split("#")[0].strip() for line in lines):
        if line.startswith("include") and depth < 4:
            pattern = line.removeprefix("include").strip()
            absolute = pattern if pattern.startswith("/") else f"/etc/{pattern}"
            for included in sorted(glob.glob(f"{glob.escape(str(root))}/{absolute.lstrip('/')}")):  # noqa: PTH207 an absolute pattern
                yield from _configured(root, Path(included), depth + 1)
        elif line.startswith("/"):
            yield root / line.lstrip("/")


def link(site_packages: Path, build: Build) -> tuple[str, ...]:
    """Link the wheels' libraries into paddle/libs under both names and record them; returns the links' paths in site-packages.

    Relative links survive the swap and a moved target. Links that an earlier lock had, or that lead nowhere, are removed.
    """
    folder = site_packages / "paddle" / "libs"
    distributions.require_inside(distributions.env_of(site_packages), folder)
    wanted = _wanted(site_packages, build)
    for path in folder.iterdir():
        if path.is_symlink() and (not path.exists() or (path.name not in wanted and is_ours(path))):
            path.unlink()
    made = [
        name
        for name, library in wanted.items()
        if _linked(folder / name, os.path.relpath(library, os.path.realpath(folder)))
    ]
    names = sorted(f"paddle/libs/{name}" for name in made)
    _record(site_packages, build, names)
    return tuple(names)


def unlinked(site_packages: Path, build: Build) -> tuple[str, ...]:
    """The names in paddle/libs that ``link`` would make, and that lead to no library now."""
    folder = site_packages / "paddle" / "libs"
    return tuple(sorted(name for name in _wanted(site_packages, build) if not (folder / name).exists()))


def _wanted(site_packages: Path, build: Build) -> dict[str, Path]:
    """Name in paddle/libs -> NVIDIA's library."""
    wanted: dict[str, Path] = {}
    for library in _libraries(site_packages):
        wanted[library.name] = library
        if _serves(library.name, build):
            wanted.setdefault(_bare(library.name), library)
    return wanted


def _libraries(site_packages: Path) -> list[Path]:
    """NVIDIA's, as far as a wheel brought them: what else lies there may be anything."""
    records = (found.record for found in distributions.present(site_packages).values())
    brought = {row[0] for record in records for row in distributions.rows_if_any(record)}
    every = sorted(site_packages.glob("nvidia/*/lib/*.so*"))
    return [path for path in every if path.relative_to(site_packages).as_posix() in brought]


def _bare(name: str) -> str:
    """libcudnn.so of libcudnn.so.8."""
    return re.sub(r"\.so(\.\d+)*$", ".so", name)


def _serves(name: str, build: Build) -> bool:
    """Whether this library may stand under its unversioned name: another package may have brought another major."""
    needs = build.libraries.needs if build.libraries else {}
    major = needs.get(_bare(name))
    return major is None or f"{name}.".startswith(f"{_bare(name)}.{major}.")


def is_ours(link: Path) -> bool:
    """``link`` made it, in this run or an earlier one."""
    return os.readlink(link).startswith("../../nvidia/")  # noqa: PTH115


def _linked(path: Path, leads: str) -> bool:
    """Make the link, unless the build ships a file of that name."""
    if path.is_symlink() and os.readlink(path) != leads:  # noqa: PTH115
        path.unlink()
    if not os.path.lexists(path):
        path.symlink_to(leads)
    return path.is_symlink()


def _record(site_packages: Path, build: Build, links: Sequence[str]) -> None:
    """Paddle's RECORD lists the links that there are, so that an uninstaller removes them."""
    found = distributions.present(site_packages).get(build.package)
    if found is None or not found.record.is_file():
        raise InstallFailed(f"{site_packages} holds no RECORD of {build.package} {build.version}")
    before = distributions.rows(found.record)
    kept = [row for row in before if not _is_stale(site_packages / row[0], row)]
    known = {row[0] for row in kept}
    after = [*kept, *([name, "", ""] for name in links if name not in known)]
    if after != before:
        distributions.require_inside(distributions.env_of(site_packages), found.record)
        replace_file(found.record, distributions.text(after))


def _is_stale(path: Path, row: Sequence[str]) -> bool:
    return row[0].startswith("paddle/libs/") and row[1:] == ["", ""] and not path.is_symlink()
