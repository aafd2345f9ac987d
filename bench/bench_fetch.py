"""Fetching one big file from loopback against ``curl -o`` followed by ``sha256sum``; aim: at most 1.0 of its time.

Both read from the same nginx (a Python server without it), run in turns, and write to the same file system. Ours hashes
while bytes arrive, flushes the file to the disk and gives it its name; curl does not flush.

    python bench/bench_fetch.py [--size MB] [--runs N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import mirror_at

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.fakes.nginx import free_port, nginx

NAME = "big-1.0-py3-none-any.whl"
MARGIN = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=759, help="MB of the file (default: 759, the GPU wheel's)")
    parser.add_argument("--runs", type=int, default=7, help="of each (default: 7)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        return compare(Path(name), wanted.size * 1_000_000, wanted.runs)


def compare(folder: Path, size: int, runs: int) -> int:
    wheel = make(folder / "site", size)
    ours: list[float] = []
    theirs: list[float] = []
    with serving(folder) as root:
        for number in range(runs + 1):  # the first run of each warms up
            for times, run in (
                ((ours, run_ours), (theirs, run_curl)) if number % 2 else ((theirs, run_curl), (ours, run_ours))
            ):
                began = time.perf_counter()
                run(root, wheel, folder)
                times.append(time.perf_counter() - began)
                os.sync()
    mine, curl = statistics.median(ours[1:]), statistics.median(theirs[1:])
    print(f"{size / 1e6:.0f} MB from loopback, median of {runs} interleaved runs each")
    print(f"  paddle-bootstrap fetch    {mine:6.2f} s  {size / mine / 1e6:5.0f} MB/s  (verified, flushed, named)")
    print(f"  curl -o, then sha256sum   {curl:6.2f} s  {size / curl / 1e6:5.0f} MB/s")
    print(f"  ratio {mine / curl:.2f}, aim at most {MARGIN:.2f}")
    return 0 if mine <= curl * MARGIN else 1


def make(site: Path, size: int) -> Wheel:
    (site / "files").mkdir(parents=True)
    (site / "simple" / "big").mkdir(parents=True)
    digest = hashlib.sha256()
    with (site / "files" / NAME).open("wb") as file:
        for start in range(0, size, 1 << 22):
            block = os.urandom(min(1 << 22, size - start))
            digest.update(block)
            file.write(block)
    (site / "simple" / "big" / "index.html").write_text(f'<a href="../../files/{NAME}">{NAME}</a>')
    return Wheel("big", "1.0", NAME, size, digest.hexdigest())


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        with nginx(folder / "site", folder / "nginx") as root:
            yield root
        return
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder / "site"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def run_ours(root: str, wheel: Wheel, folder: Path) -> None:
    store = Store(folder / "store")
    fetch([wheel], build=None, mirrors=[mirror_at(f"{root}/simple")], store=store, environ={})
    shutil.rmtree(store.root)


def run_curl(root: str, wheel: Wheel, folder: Path) -> None:
    out = folder / NAME
    subprocess.run(["curl", "-sf", "-o", out, f"{root}/files/{NAME}"], check=True)
    done = subprocess.run(["sha256sum", out], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(wheel.sha256)
    out.unlink()


if __name__ == "__main__":
    raise SystemExit(main())
