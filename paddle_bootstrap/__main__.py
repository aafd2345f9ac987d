"""``python -m paddle_bootstrap`` and the installed command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from paddle_bootstrap.cli import run
    except KeyboardInterrupt:  # Ctrl-C while the command line is still being imported
        sys.exit(130)

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
