"""Medians, the table, and the promises held against it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.rows import Run
from bench.scenarios import ARIA2, FETCH, LIKE, OURS, Scenario

HEADINGS = ("scenario", "tool", "wall s", "x ours", "served %", "CPU s", "RSS MB", "outcome")
WIDTHS = (16, 24, 8, 7, 9, 7, 7, 0)
GOOD = ("installed", "fetched")


@dataclass(frozen=True)
class Row:
    """All runs of one tool in one scenario: medians, and what became of them."""

    scenario: str
    tool: str
    wall: float
    cpu: float
    rss: int
    served: float  # of the wheel's size
    worst_served: float
    outcome: str
    names_liar: bool  # whenever it was sent something wrong

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


Rows = Mapping[tuple[str, str], Row]


def rows(runs: Sequence[Run]) -> Rows:
    """One row per scenario and tool, in the order of the first runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.tool != OURS):
        groups.setdefault((run.scenario, run.tool), []).append(run)
    order = list(dict.fromkeys(run.scenario for run in runs))
    return {key: _row(groups[key]) for key in sorted(groups, key=lambda key: order.index(key[0]))}


def _row(runs: Sequence[Run]) -> Row:
    served = [run.served / run.size for run in runs]
    return Row(
        runs[0].scenario,
        runs[0].tool,
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        int(statistics.median(run.rss for run in runs)),
        statistics.median(served),
        max(served),
        _outcomes([run.outcome for run in runs]),
        all(run.names_liar is not False for run in runs),
    )


def _outcomes(outcomes: Sequence[str]) -> str:
    counts = Counter(outcomes).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{count} x {each}" for each, count in counts)


def heading() -> str:
    return _line(HEADINGS)


def lines(table: Rows) -> Iterator[str]:
    """The rows."""
    for row in table.values():
        yield _line(cells(row, table))


def cells(row: Row, table: Rows) -> tuple[str, ...]:
    """One row under HEADINGS; "x ours" only where both did what was asked."""
    ours = _ours(row.scenario, row.tool, table)
    ratio = f"{row.wall / ours.wall:.2f}" if ours and ours.good and row.good else "-"
    numbers = (f"{row.wall:.2f}", ratio, f"{100 * row.served:.1f}", f"{row.cpu:.1f}", f"{row.rss / 1e6:.0f}")
    return (row.scenario, row.tool, *numbers, row.outcome)


def _ours(scenario: str, tool: str, table: Rows) -> Row | None:
    """What of ours did the same work as ``tool``: bytecode or none, or the transfer alone."""
    own = tool if tool.startswith(OURS) else LIKE.get(tool, OURS)
    return table.get((scenario, own)) or table.get((scenario, OURS))


def _line(words: Sequence[str]) -> str:
    aligned = [
        word.ljust(width) if place in (0, 1, 7) else word.rjust(width)
        for place, (word, width) in enumerate(zip(words, WIDTHS, strict=True))
    ]
    return " ".join(aligned).rstrip()


@dataclass(frozen=True)
class Judged:
    """One promise, held against the rows."""

    scenario: str
    promise: str
    measured: str
    kept: bool


def judge(scenarios: Sequence[Scenario], table: Rows, sizes: Mapping[str, int]) -> Iterator[Judged]:
    """Every promise that the measured rows can answer. ``sizes``: of each scenario's wheel."""
    for scenario in scenarios:
        ours, fetch = table.get((scenario.name, OURS)), table.get((scenario.name, FETCH))
        if ours:
            yield from _of_install(scenario, ours, table, sizes)
        if fetch:
            yield from _of_fetch(scenario, fetch, table, sizes)


def _of_install(scenario: Scenario, ours: Row, table: Rows, sizes: Mapping[str, int]) -> Iterator[Judged]:
    name, target = scenario.name, scenario.target
    wanted = f"exit {target.exit_code}" if target.exit_code else "installed"
    yield Judged(name, wanted, ours.outcome, ours.outcome == wanted)
    for tool, least in target.faster.items():
        like = _ours(name, tool, table)
        if like and (row := table.get((name, tool))) and row.good:
            ratio = row.wall / like.wall
            promise = f"{tool} takes {least:g} x our time or more"
            yield Judged(name, promise, f"{ratio:.2f}", like.good and ratio >= least)
    if target.extra is not None:
        extra = max(0.0, ours.worst_served - 1)
        yield Judged(name, f"at most {target.extra:.0%} extra bytes", f"{extra:.1%}", extra <= target.extra)
    if target.of and (healthy := table.get((target.of, OURS))):
        ratio = ours.wall / healthy.wall
        promise = f"at most {target.at_most:g} x the time of {target.of}"
        yield Judged(name, promise, f"{ratio:.2f}", ours.good and healthy.good and ratio <= target.at_most)
    if target.names_liar:
        yield Judged(name, "names the mirror that lied", "yes" if ours.names_liar else "no", ours.names_liar)
    if target.of_ideal and scenario.gives and (unpack := table.get(("open", OURS))):
        most = target.of_ideal * max(sizes[name] / scenario.gives, unpack.wall) + 1
        promise = f"at most {target.of_ideal:g} x max(ideal transfer, open) + 1 s = {most:.1f} s"
        yield Judged(name, promise, f"{ours.wall:.1f} s", ours.good and ours.wall <= most)


def _of_fetch(scenario: Scenario, fetch: Row, table: Rows, sizes: Mapping[str, int]) -> Iterator[Judged]:
    name, target = scenario.name, scenario.target
    if target.transfer is not None and scenario.gives:
        share = sizes[name] / scenario.gives / fetch.wall
        promise = f"fetch uses {target.transfer:.0%} of what the mirrors give"
        yield Judged(name, promise, f"{share:.0%}", fetch.good and share >= target.transfer)
    if aria2 := table.get((name, ARIA2)):
        for most, what, ratio in (
            (target.cpu_of_aria2, "CPU", fetch.cpu / aria2.cpu),
            (target.wall_of_aria2, "time", fetch.wall / aria2.wall),
        ):
            if most is not None:
                promise = f"fetch takes at most {most:g} x the {what} of aria2c"
                yield Judged(name, promise, f"{ratio:.2f}", fetch.good and ratio <= most)
