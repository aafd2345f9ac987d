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
        cards: Iterable[str] = (),
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.measured = measured
        self.expected = expected
        self.likely = likely
        self.fix = fix
        self.cards = tuple(cards)  # "gpu3": those it is evidence about, where the check is not one card's own


def expect(
    condition: object,
    summary: str,
    *,
    measured: object = None,
    expected: object = None,
    likely: str | None = None,
    fix: str | None = None,
    cards: Iterable[str] = (),
) -> None:
    """Fail the check with ``summary`` unless ``condition`` holds. ``cards``: the GPUs that then get no load ("gpu3")."""
    if not condition:
        raise CheckFailed(
            summary,
            measured=None if measured is None else str(measured),
            expected=None if expected is None else str(expected),
            likely=likely,
            fix=fix,
            cards=cards,
        )


def few(items: Iterable[object]) -> str:
    """``a; b; c; and 4 more``: a line of a report is no list."""
    every = [str(item) for item in items]
    return "; ".join(every[:SHOWN]) + (f"; and {len(every) - SHOWN} more" if len(every) > SHOWN else "")
