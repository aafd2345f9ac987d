"""The bench's JSON as Markdown for docs/benchmarks.md: python -m bench.page RESULTS.json"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.scenarios import NETNS, SCENARIOS
from bench.table import Row, cells


def page(data: dict[str, Any]) -> Iterator[str]:
    """When and where, the rows, the promises."""
    machine, versions = data["machine"], data["versions"]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"Measured on {data['date'][:10]}: {machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}; {told}."
    yield ""
    titles = {scenario.name: scenario.title for scenario in (*SCENARIOS, *NETNS)}
    rows = [Row(**row) for row in data["rows"]]
    table = {(row.scenario, row.tool): row for row in rows}
    yield "| scenario | tool | wall s | x ours | served % | CPU s | RSS MB | outcome |"
    yield "|---|---|--:|--:|--:|--:|--:|---|"
    before = None
    for row in rows:
        name = f"**{row.scenario}**: {titles[row.scenario]}" if row.scenario != before else ""
        yield f"| {' | '.join((name, *cells(row, table)[1:]))} |"
        before = row.scenario
    yield ""
    yield "| scenario | promise | measured | kept |"
    yield "|---|---|---|---|"
    for each in data["promises"]:
        yield f"| {each['scenario']} | {each['promise']} | {each['measured']} | {'yes' if each['kept'] else '**no**'} |"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print("\n".join(page(json.loads(Path(sys.argv[1]).read_text()))))
