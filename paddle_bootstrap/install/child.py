"""Runs uv and the target's Python for an installation: none outlives this process.

A child that went on after ``kill -9`` of its parent would still write into a clone that the next run has begun to remove.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None).prctl


def start(command: Sequence[str], environ: Mapping[str, str], nice: int = 0) -> subprocess.Popen[str]:
    """``command`` with exactly ``environ``, its errors in a pipe; it is killed when this process ends, however that does.

    In truth when the thread ends that started it, which therefore waits for it. ``nice``: how far it stands back.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=dict(environ),
        preexec_fn=_bound_to(os.getpid(), nice),
    )


def _bound_to(parent: int, nice: int) -> Callable[[], None]:
    def bind() -> None:
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        os.nice(nice)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return bind
