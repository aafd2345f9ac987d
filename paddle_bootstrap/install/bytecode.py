"""Compiles the modules of a clone to bytecode that names the target's paths, as tracebacks must."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install import child

_PART = Path(__file__).with_name("compile_part.py")
_MOST = 16  # processes; beyond it the disk decides


def compile_tree(python: Path, folder: Path, final: Path, environ: Mapping[str, str]) -> None:
    """Compile what has no current bytecode in ``folder``, which will stand at ``final``, with the target's ``python``."""
    shares = min(len(os.sched_getaffinity(0)), _MOST)
    command = [str(python), "-I", "-W", "ignore", str(_PART), str(folder), str(final)]
    clean = child.environment(environ)
    processes = [child.start([*command, str(share), str(shares)], clean) for share in range(shares)]
    try:
        told = [process.communicate()[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    failed = [text for process, text in zip(processes, told, strict=True) if process.returncode != 0]
    if failed:
        raise InstallFailed(f"{python} could not compile {folder}: {failed[0].strip()[-1000:]}")
