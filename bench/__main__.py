"""Installing one real wheel side by side: paddle-bootstrap, pip, uv, aria2c. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import network
from bench.rows import Run, measure
from bench.scenarios import NETNS, SCENARIOS, WITH_BYTECODE, Scenario
from bench.table import heading, judge, lines, rows
from bench.wheels import real_wheel
from paddle_bootstrap.host import pythons
from tests.fakes.nginx import program

CACHE = Path(".test-cache")
STORE = Path(os.environ.get("PADDLE_BOOTSTRAP_TEST_STORE", CACHE / "store"))


def main() -> int:
    wanted = _arguments()
    folder = wanted.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    interpreter = pythons.choose(wanted.python, (), os.environ)
    store = wanted.store.resolve()
    runs: list[Run] = []
    judged = () if wanted.wheel else wanted.only  # promises are about the scenario's own wheel
    print(heading(), flush=True)
    for scenario in wanted.only:
        wheel = real_wheel(wanted.wheel or scenario.wheel, interpreter, store, folder / "lock")
        of_this: list[Run] = []
        for run in measure(scenario, wanted.tools, wanted.reps, wheel, interpreter.path, folder / scenario.name):
            of_this.append(run)
            print(f"{run.scenario}: {run.tool}: {run.wall:.1f} s, {run.outcome}", file=sys.stderr, flush=True)
            wanted.json.write_text(json.dumps(document(judged, [*runs, *of_this]), indent=1) + "\n")
        runs += of_this
        print("\n".join(lines(rows(of_this))), flush=True)
    print(f"\npromises{': not judged with --wheel' if wanted.wheel else ''}")
    for each in document(judged, runs)["promises"]:
        print(f"  {'kept  ' if each['kept'] else 'BROKEN'} {each['scenario']}: {each['promise']}: {each['measured']}")
    print(f"\nall runs: {wanted.json}")
    shutil.rmtree(folder)
    return 0


def document(scenarios: Sequence[Scenario], runs: Sequence[Run]) -> dict[str, Any]:
    """All that was measured, and where."""
    sizes = {run.scenario: run.size for run in runs}
    table = rows(runs)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "cpu": _cpu(), "kernel": platform.release(), "load": os.getloadavg()[0]},
        "versions": _versions(),
        "rows": [dataclasses.asdict(row) for row in table.values()],
        "promises": [dataclasses.asdict(each) for each in judge(scenarios, table, sizes)],
        "runs": [dataclasses.asdict(run) for run in runs],
    }


def _cpu() -> str:
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return named[0].partition(":")[2].strip() if named else platform.machine()


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in ("paddle-bootstrap", "pip", "uv")}
    told = subprocess.run(["aria2c", "--version"], capture_output=True, text=True, check=True).stdout
    return {**found, "aria2c": told.split()[2], "python": platform.python_version()}


def _arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {each.name:<16} {each.title}" for each in (*SCENARIOS, *NETNS))
    listed += f"\n  {'netns':<16} {', '.join(each.name for each in NETNS)}: as root, never by default"
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"scenarios:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=_scenarios, default=SCENARIOS, metavar="NAME[,..]", help="these scenarios")
    names = ", ".join(WITH_BYTECODE)
    parser.add_argument("--tools", type=_tools, default=WITH_BYTECODE, metavar="NAME[,..]", help=f"of: {names}")
    parser.add_argument("--reps", type=int, default=3, help="rounds of each scenario (default: 3)")
    parser.add_argument("--wheel", help="this package of the shipped GPU lock in every scenario: numpy is small")
    parser.add_argument("--python", default="3.12", help="of the target (default: 3.12)")
    parser.add_argument("--store", type=Path, default=STORE, help="where the real wheels are kept")
    parser.add_argument("--folder", type=Path, default=CACHE / "bench", help="emptied and used for every run")
    parser.add_argument("--json", type=Path, default=Path("results-bench.json"), help="all runs, as data")
    wanted = parser.parse_args()
    for name, found in (("nginx", program()), ("aria2c", shutil.which("aria2c")), ("openssl", shutil.which("openssl"))):
        if not found:
            parser.error(f"{name} is missing. Debian, Ubuntu: apt-get install nginx-light aria2 openssl")
    return wanted


def _scenarios(text: str) -> tuple[Scenario, ...]:
    known = {scenario.name: scenario for scenario in (*SCENARIOS, *NETNS)}
    text = text.replace("netns", ",".join(scenario.name for scenario in NETNS))
    taken = tuple(known[name] for name in _known(text, known))
    if any(scenario.network for scenario in taken) and (why := network.missing()):
        raise argparse.ArgumentTypeError(f"{', '.join(scenario.name for scenario in NETNS)}: {why}")
    return taken


def _tools(text: str) -> tuple[str, ...]:
    return tuple(_known(text, WITH_BYTECODE))


def _known(text: str, known: Sequence[str] | dict[str, Scenario]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if absent := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(absent)}: not among {', '.join(known)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
