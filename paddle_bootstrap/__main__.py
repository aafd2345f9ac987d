"""``python -m paddle_bootstrap`` and the installed command."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the command line and exit with its code."""
    _fill_closed()
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _end)
    try:
        from paddle_bootstrap.cli import run
    except KeyboardInterrupt:  # Ctrl-C while the command line is still being imported
        sys.exit(130)

    sys.exit(run(sys.argv[1:]))


def _fill_closed() -> None:
    """Whoever started us may have closed standard output or error: the next file to be opened must not become that."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 for the whole run


def _end(_number: int, _frame: FrameType | None) -> None:
    """As Ctrl-C: no worker, no load and no half-made target outlives a run that systemd, Slurm or timeout(1) ends."""
    for number in ENDING:
        signal.signal(number, lambda *_: None)  # timeout(1) sends it twice
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
