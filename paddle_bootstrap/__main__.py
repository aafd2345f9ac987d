"""``python -m paddle_bootstrap`` and the installed command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    _fill_closed()
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


if __name__ == "__main__":
    main()
