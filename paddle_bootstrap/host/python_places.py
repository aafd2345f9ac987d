"""Where Pythons are on a host: PATH, the system, pyenv, uv and conda.

uv can list interpreters too, but of pyenv's it runs the shims alone, each of which answers only for the active version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAME = re.compile(r"python3(\.\d+)?t?")
_CONDA = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")  # what installers call their folder


def candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Programs that may be Pythons; the same one can come several times."""
    home = Path(environ.get("HOME") or "/")
    for folder in environ.get("PATH", "").split(os.pathsep):
        # a pyenv shim answers for whichever version is active, so the versions themselves are looked at instead
        if folder and Path(folder).name != "shims":
            yield from (path for path in _matching(Path(folder), "python3*") if _NAME.fullmatch(path.name))
    yield from (path for path in _matching(Path("/usr/bin"), "python3.*") if _NAME.fullmatch(path.name))
    yield from _matching(Path(environ.get("PYENV_ROOT") or home / ".pyenv"), "versions/*/bin/python")
    yield from _matching(uv_folder(environ), "*/bin/python3")
    for prefix in _conda(environ, home):
        yield from _matching(prefix, "bin/python3")
        yield from _matching(prefix, "envs/*/bin/python3")


def uv_folder(environ: Mapping[str, str]) -> Path:
    """Where uv installs interpreters."""
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or "/") / ".local" / "share"
    return Path(environ.get("UV_PYTHON_INSTALL_DIR") or Path(data) / "uv" / "python")


def _conda(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Prefixes of conda: the active one, the one that is run, what conda itself noted, and the usual places."""
    if prefix := environ.get("CONDA_PREFIX"):
        yield Path(prefix)
    if program := environ.get("CONDA_EXE"):
        yield Path(program).parent.parent
    if root := environ.get("MAMBA_ROOT_PREFIX"):
        yield Path(root)
    yield from (folder / name for folder in (home, Path("/opt")) for name in _CONDA)
    yield Path("/opt/conda")
    try:
        noted = (home / ".conda" / "environments.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from (Path(line) for line in noted.splitlines() if line.startswith("/"))


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Nothing where this user may not look: root's PYENV_ROOT after a sudo."""
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []
