"""The report a person reads: the verdict first, every check on a line, every failure explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from paddle_bootstrap.reports import headline, measured
from paddle_bootstrap.reports.columns import cells, fold, pad, printable, wrap
from paddle_bootstrap.reports.gathering import Row, group_of, groups, name_of, rows
from paddle_bootstrap.results import table
from paddle_bootstrap.results.model import CheckResult, Measurement, Outcome, Results

_MARKS: Mapping[Outcome, tuple[str, str, str]] = {  # unicode, ASCII, colour
    "passed": ("✓", "ok", "32"),
    "warned": ("!", "!!", "33"),
    "failed": ("✗", "XX", "31"),
    "error": ("?", "??", "35"),
    "skipped": ("·", "--", "2"),
}
_VERDICT_COLOURS = {"accepted": "1;32", "rejected": "1;31", "inconclusive": "1;33"}
WIDTH = 80
_EVIDENCE_LINES = 12
_NAME = 26  # columns that a check's name may take; a longer one has a line of its own
_TIME = 8  # columns at the end of a row


def render(results: Results, *, color: bool = False, verbose: bool = False, encoding: str = "utf-8") -> str:
    """``results`` as text of at most 80 columns, with no character that ``encoding`` lacks.

    One thing may be wider: a word of a next command that is longer than a line, because half of it is of no use.
    """
    page = _Page(color=color, verbose=verbose, encoding=encoding)
    lines = [*page.head(results), *page.body(results), *page.accepted(results), *page.measured(results)]
    lines += ["", *page.foot(results)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


class _Page:
    def __init__(self, *, color: bool, verbose: bool, encoding: str) -> None:
        self.color, self.verbose = color, verbose
        self.encoding = encoding
        self.plain = "✓✗│".encode(encoding, "replace").decode(encoding) != "✓✗│"
        self.sign = 2 if self.plain else 1  # columns of a mark
        self._first: dict[str, str] = {}  # a missing requirement -> the check that explained it first
        self._before: dict[tuple[str, str], str] = {}  # a check without its device, and a label -> what was said last

    def wrap(self, text: str, room: int, *, whole_words: bool = False) -> list[str]:
        return wrap(printable(text, self.encoding), room, whole_words=whole_words)

    def fold(self, text: str, room: int) -> Iterator[str]:
        return fold(printable(text, self.encoding), room)

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def head(self, results: Results) -> Iterator[str]:
        verdict = self.paint(results.verdict.upper(), _VERDICT_COLOURS[results.verdict])
        early = results.stage == "preflight"
        judged = "" if early else ", no GPU was judged"
        rehearsal = self.paint(f"REHEARSAL on the CPU{judged}: ", "1;33") if results.device == "cpu" else ""
        yield f"{rehearsal}{verdict}{' before anything was downloaded' if early else ''}"
        for name, text in headline.rows(results):
            yield from self._hang(f"  {name:<8}", text)

    def body(self, results: Results) -> Iterator[str]:
        """Every check; groups and checks that failed come first."""
        sections = groups(results.checks, apart=self.verbose)
        sections.sort(key=lambda found: min(map(_gravity, found[1])))
        found = [(group, list(self._rows(tuple(sorted(some, key=_gravity))))) for group, some in sections]
        widths = [cells(row.name) for _, some in found for row in some]
        column = max((width for width in widths if width <= _NAME), default=0)
        for group, some in found:
            yield ""
            yield from (self.paint(line, "1") for line in self.wrap(group, WIDTH))
            for row in some:
                yield from self._row(row, column)
                yield from self._after(row.check)

    def accepted(self, results: Results) -> Iterator[str]:
        """Known deviations that the settings let pass: nobody may forget them."""
        found = [check for check in results.checks if _waived(check)]
        if found:
            yield ""
            yield self.paint("accepted deviations", "1")
        for _, some in groupby(found, key=group_of):
            for row in self._rows(tuple(some)):
                told = row.check.accepted or {}
                yield from self._hang(f"  {self.mark(row.check.outcome)} ", f"{group_of(row.check)}.{row.name}")
                yield from self._hang("      ", row.check.summary)
                yield from self._hang("      ", f"accepted until {told.get('expires')}: {told.get('reason')}")

    def measured(self, results: Results) -> Iterator[str]:
        """What was measured: GPUs beside each other, then what belongs to none."""
        found = table.rows(results.checks)
        for some in (tuple(filter(table.of_gpus, found)), tuple(row for row in found if not table.of_gpus(row))):
            if some:
                yield from self._table(some)

    def _table(self, some: Sequence[table.Row]) -> Iterator[str]:
        shown = partial(printable, encoding=self.encoding)
        head, *lines = measured.lines(some, shown, self.mark, self.sign, WIDTH)
        yield from ("", head.replace(measured.TITLE, self.paint(measured.TITLE, "1"), 1), *lines)

    def mark(self, outcome: Outcome | None) -> str:
        if outcome is None:
            return " " * self.sign
        sign, plain, code = _MARKS[outcome]
        return self.paint(plain if self.plain else sign, code)

    def _rows(self, checks: tuple[CheckResult, ...]) -> Iterator[Row]:
        found = (Row(name_of(check), (check,)) for check in checks) if self.verbose else rows(checks)
        return (replace(row, name=printable(row.name, self.encoding)) for row in found)

    def _hang(self, first: str, text: str) -> Iterator[str]:
        """``text`` beside ``first``."""
        for index, line in enumerate(self.wrap(text, WIDTH - len(first))):
            yield f"{first if index == 0 else ' ' * len(first)}{line}"

    def _row(self, row: Row, column: int) -> Iterator[str]:
        mark = f"  {self.mark(row.check.counts_as)} "
        lead = " " * (2 + self.sign + 1 + column + 2)
        first = f"{mark}{pad(row.name, column)}  "
        if cells(row.name) > column:
            first = lead
            for index, name in enumerate(self.fold(row.name, WIDTH - self.sign - 3)):
                yield f"{mark if index == 0 else ' ' * (self.sign + 3)}{name}"
        time = _time(row.seconds)
        room = WIDTH - len(lead) - (_TIME if time else 0)
        for index, line in enumerate(self.wrap(self._said(row.check), room)):
            yield (
                f"{first}{pad(line, room)}{time:>{_TIME}}"
                if index == 0 and time
                else f"{first if index == 0 else lead}{line}"
            )

    def _said(self, check: CheckResult) -> str:
        if _waived(check):
            return f"accepted: {check.summary}"
        said = check.title if check.outcome == "passed" else check.summary
        if self._told_before(check):
            return f"{said.split(':')[0]}: see {self._first[said]}"
        return said

    def _told_before(self, check: CheckResult) -> bool:
        missing = check.cause == "requirement" and check.counts_as == "failed"
        return missing and self._first.setdefault(check.summary, check.id) != check.id

    def _after(self, check: CheckResult) -> Iterator[str]:
        """What a failure means and, with -v, everything that is known."""
        broken = check.counts_as in ("failed", "error")
        if (broken or (_waived(check) and self.verbose)) and (self.verbose or not self._told_before(check)):
            yield from self._explained(check)
        for found in check.measurements if self.verbose else ():
            yield from self._hang("      ", _taken(found))
        for name, text in check.evidence.items():
            if self.verbose or (check.outcome == "error" and name == "traceback"):
                yield from self._evidence(name, text)

    def _explained(self, check: CheckResult) -> Iterator[str]:
        """Measured, expected, likely, next; of several devices in a row only what differs from the one before."""
        bar = self.paint("|" if self.plain else "\u2502", _MARKS[check.outcome][2])
        said = (
            ("measured", check.measured),
            ("expected", check.expected),
            ("likely", check.likely),
            ("next", check.fix),
        )
        for label, text in said:
            key = (check.id.removesuffix(f"[{check.device}]"), label)
            if text and (self.verbose or self._before.get(key) != text):
                self._before[key] = text
                for index, line in enumerate(self.wrap(text, WIDTH - 16, whole_words=label == "next")):
                    yield f"    {bar} {label if index == 0 else '':<10}{line}"

    def _evidence(self, name: str, text: str) -> Iterator[str]:
        yield from self._hang("      ", f"{name}:")
        for line in text.strip("\n").splitlines()[-_EVIDENCE_LINES:]:
            yield from (f"        {piece}" for piece in self.fold(line.expandtabs(4), WIDTH - 8))

    def foot(self, results: Results) -> Iterator[str]:
        count = {outcome: sum(check.counts_as == outcome for check in results.checks) for outcome in _MARKS}
        waived = sum(map(_waived, results.checks))
        words = {"error": "in error", "passed": f"passed ({waived} accepted)" if waived else "passed"}
        told = ", ".join(f"{number} {words.get(outcome, outcome)}" for outcome, number in count.items() if number)
        counts = (
            f"{told or 'no check ran'} in {results.seconds:.1f} s; level {results.level}; exit code {results.exit_code}"
        )
        yield from self.wrap(counts, WIDTH)
        closing = self.wrap(headline.closing(results), WIDTH - 6, whole_words=True)
        for lines in (self.wrap(headline.failed(results), WIDTH - 6), closing):
            yield from (f"{'      ' if index else ''}{line}" for index, line in enumerate(lines) if line)
        if not self.verbose and any(
            check.evidence for check in results.checks if check.counts_as in ("failed", "error")
        ):
            yield "what the checks wrote is in the results: paddle-bootstrap report -v FILE"


def _gravity(check: CheckResult) -> int:
    return {"failed": 0, "error": 1}.get(check.counts_as, 2)


def _waived(check: CheckResult) -> bool:
    return check.counts_as != check.outcome


def _taken(found: Measurement) -> str:
    """One number with all that is known of it."""
    beside = [f"floor {found.floor:g}"] if found.floor is not None else []
    beside += [f"peers {found.peers:g}"] if found.peers is not None else []
    beside += [found.source] if found.source else []
    told = f"{found.name} {found.value:g} {found.unit}" + (f" ({', '.join(beside)})" if beside else "")
    return f"{told}; {found.load}" if found.load else told


def _time(seconds: float) -> str:
    if seconds < 0.05:
        return ""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
