"""The address of the official package index, asked of uv, which knows it as its default.

uv has no programming interface and no other output that states it: it writes the index into the head of a compiled
requirements file. An empty list of requirements needs no network and no Python packages; it takes 50 ms.
"""

from __future__ import annotations

import functools
import subprocess
import sys

import uv

from paddle_bootstrap import progress

SECONDS = 30.0
_COMMAND = (
    "pip",
    "compile",
    "-",
    "--emit-index-url",
    "--no-header",
    "--no-config",
    "--offline",
    "--no-cache",
    "--quiet",
)
_OPTION = "--index-url "


@functools.cache
def address() -> str | None:
    """The official index; None, with a warning, when uv cannot say."""
    try:
        done = subprocess.run(
            [uv.find_uv_bin(), *_COMMAND, "--python", sys.executable],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={},  # no setting of the user's may stand in for the default
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        progress.warn(f"the official package index is left out: uv: {error}")
        return None
    found = [line.removeprefix(_OPTION) for line in done.stdout.splitlines() if line.startswith(_OPTION)]
    if not found:
        progress.warn(f"the official package index is left out: uv does not name it: {done.stderr.strip()[-200:]}")
        return None
    return found[0].strip()
