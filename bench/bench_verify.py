"""`verify --level quick` on a CPU target against a bare script that does the same CNN and value comparison.

Both are whole processes, run in turn (A B A B ...), so that a machine whose speed drifts does not decide. Prints medians and
the ratio; the aim is 1.15, the bound 1.25. Usage: bench_verify.py [TARGET] [RUNS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = ROOT / "checks" / "workloads"
BARE = f"import sys; sys.path.insert(0, {str(WORKLOADS)!r}); import cnn; print(cnn.train(device='cpu')['loss'])"


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".test-cache" / "cpu-target")
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    with tempfile.TemporaryDirectory() as scratch:
        results = str(Path(scratch) / "results.json")
        verify = [sys.executable, "-m", "paddle_bootstrap", "verify", "--env", str(target), "--results", results]
        bare = [str(target / "bin" / "python"), "-c", BARE]
        seconds(bare), seconds(verify)
        pairs = [(seconds(verify), seconds(bare)) for _ in range(runs)]
    ratios = [ours / theirs for ours, theirs in pairs]
    print(f"verify --level quick  median {statistics.median(ours for ours, _ in pairs):.2f} s")
    print(f"bare script           median {statistics.median(theirs for _, theirs in pairs):.2f} s")
    print(
        f"ratio, pair by pair   median {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f}, {runs} runs)"
    )


if __name__ == "__main__":
    main()
