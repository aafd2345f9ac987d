"""How a check says what is wrong: what was found, what was expected, the likely cause, the next command."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 3  # items named in a message; the rest are counted


class CheckFailed(AssertionError):
    """Evidence about the host."""

    def __init__(
        self,
        summary: str,
        *,
        measured: str | None = None,
        expected: str | None = None,
        likely: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.measured = measured
        self.expected = expected
        self.likely = likely
        self.fix = fix


def expect(
    condition: object,
    summary: str,
    *,
    measured: object = None,
    expected: object = None,
    likely: str | None = None,
    fix: str | None = None,
) -> None:
    """Fail the check with ``summary`` unless ``condition`` holds."""
    if not condition:
        raise CheckFailed(
            summary,
            measured=None if measured is None else str(measured),
            expected=None if expected is None else str(expected),
            likely=likely,
            fix=fix,
        )


def few(items: Iterable[object]) -> str:
    """``a; b; c; and 4 more``: a line of a report is no list."""
    every = [str(item) for item in items]
    return "; ".join(every[:SHOWN]) + (f"; and {len(every) - SHOWN} more" if len(every) > SHOWN else "")
