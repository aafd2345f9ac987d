"""Where interpreters may be downloaded from: only what the user has set, never an address that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from paddle_bootstrap.mirrors import uv_settings
from paddle_bootstrap.mirrors.model import Mirror, mirror_at
from paddle_bootstrap.mirrors.rows import Table, rows
from paddle_bootstrap.mirrors.user_settings import local_address


def interpreter_mirrors(
    environ: Mapping[str, str], *, cwd: Path, etc: Path = Path("/etc"), tables: Sequence[Table] = ()
) -> tuple[Mirror, ...]:
    """The ``[[mirror]]`` tables that hold interpreters, then what uv's own settings name. A shipped row counts once it is
    set: by ``mirror use``, or by a table of its name."""
    named = {table["name"] for table in tables}
    found = [mirror for mirror in rows(tables) if mirror.holds == "python" and mirror.name in named]
    if said := uv_settings.python_mirror(environ, cwd, etc):
        address, origin = said
        url = address if "://" in address else local_address(address, cwd)
        if all(mirror.url.rstrip("/") != url.rstrip("/") for mirror in found):
            found.append(mirror_at(url, source=origin, holds="python"))
    return tuple(found)
