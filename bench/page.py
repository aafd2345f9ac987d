"""The bench's JSON as Markdown for docs/benchmarks.md: python -m bench.page RESULTS.json...

Several are taken as rounds of one bench, on a machine that is quiet only for some minutes at a time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.rows import Run
from bench.scenarios import NETNS, SCENARIOS
from bench.table import Row, cells, judge, rows


def page(data: dict[str, Any]) -> Iterator[str]:
    """When and where, the rows, the promises."""
    machine, versions = data["machine"], data["versions"]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"Measured on {data['date'][:10]}: {machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}; {told}."
    yield ""
    titles = {scenario.name: scenario.title for scenario in (*SCENARIOS, *NETNS)}
    table = {(row["scenario"], row["tool"]): Row(**row) for row in data["rows"]}
    yield "| scenario | tool | wall s | x ours | served % | CPU s | RSS MB | outcome |"
    yield "|---|---|--:|--:|--:|--:|--:|---|"
    before = None
    for row in table.values():
        name = f"**{row.scenario}**: {titles[row.scenario]}" if row.scenario != before else ""
        yield f"| {' | '.join((name, *cells(row, table)[1:]))} |"
        before = row.scenario
    yield ""
    yield "| scenario | promise | measured | kept |"
    yield "|---|---|---|---|"
    for each in data["promises"]:
        yield f"| {each['scenario']} | {each['promise']} | {each['measured']} | {'yes' if each['kept'] else '**no**'} |"


def merged(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All runs of ``several`` benches, the first one's scenarios first."""
    names = [scenario.name for scenario in (*SCENARIOS, *NETNS)]
    runs = [Run(**run) for data in several for run in data["runs"]]
    runs.sort(key=lambda run: names.index(run.scenario))
    table = rows(runs)
    sizes = {run.scenario: run.size for run in runs}
    judged = judge([scenario for scenario in (*SCENARIOS, *NETNS) if scenario.name in sizes], table, sizes)
    told = {"rows": [asdict(row) for row in table.values()], "promises": [asdict(each) for each in judged]}
    return {**several[-1], **told, "runs": [asdict(run) for run in runs]}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    read = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    print("\n".join(page(read[0] if len(read) == 1 else merged(read))))
