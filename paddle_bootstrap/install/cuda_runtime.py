"""Where a build's CUDA libraries come from: NVIDIA's wheels in the target, linked for the loader, or the system's own.

Paddle 2.6 asks the loader for unversioned names (libcudnn.so). The wheels hold versioned ones, so both names are linked into
paddle/libs, where libphi.so looks first (RUNPATH $ORIGIN): plain ``python train.py`` works with no variable set. The links
stand in Paddle's RECORD, so an uninstaller removes them.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install.elf import soname
from paddle_bootstrap.install.receipt import replace_text
from paddle_bootstrap.lock.model import Build, CudaLibraries, CudaRuntime, Lock

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


def _on_system(libraries: CudaLibraries, root: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
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
            for included in sorted(glob.glob(f"{root}/{absolute.lstrip('/')}")):  # noqa: PTH207 an absolute pattern
                yield from _configured(root, Path(included), depth + 1)
        elif line.startswith("/"):
            yield root / line.lstrip("/")


def link(site_packages: Path, build: Build) -> tuple[str, ...]:
    """Link the wheels' libraries into paddle/libs under both names and record them; returns the links' paths in site-packages.

    Relative links survive the swap and a moved target.
    """
    folder = site_packages / "paddle" / "libs"
    made = []
    for library in sorted(site_packages.glob("nvidia/*/lib/*.so*")):
        for name in {library.name, re.sub(r"\.so(\.\d+)*$", ".so", library.name)}:
            path = folder / name
            if not os.path.lexists(path):
                path.symlink_to(os.path.relpath(library, folder))
            if path.is_symlink():
                made.append(f"paddle/libs/{name}")
    _record(site_packages, build, made)
    return tuple(sorted(made))


def _record(site_packages: Path, build: Build, links: list[str]) -> None:
    folder = build.package.replace("-", "_")
    record = next(iter(site_packages.glob(f"{folder}-{build.version}*.dist-info/RECORD")), None)
    if record is None:
        raise InstallFailed(f"{site_packages} holds no RECORD of {build.package} {build.version}")
    text = record.read_text(encoding="utf-8")
    known = {line.split(",")[0] for line in text.splitlines()}
    rows = "".join(f"{name},,\n" for name in sorted(links) if name not in known)
    if rows:
        replace_text(record, text.rstrip("\n") + "\n" + rows)
