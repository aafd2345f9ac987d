"""`paddle-bootstrap --help` over a bare interpreter: the difference of medians, in milliseconds; the bound is 150.

Usage: bench_start.py [RUNS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def milliseconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    bare = [sys.executable, "-c", "pass"]
    ours = [sys.executable, "-m", "paddle_bootstrap", "--help"]
    milliseconds(ours)
    pairs = [(milliseconds(ours), milliseconds(bare)) for _ in range(runs)]
    added = statistics.median(mine - theirs for mine, theirs in pairs)
    print(f"--help                median {statistics.median(mine for mine, _ in pairs):.0f} ms")
    print(f"bare interpreter      median {statistics.median(theirs for _, theirs in pairs):.0f} ms")
    print(f"added by the tool     median {added:.0f} ms ({runs} runs)")


if __name__ == "__main__":
    main()
