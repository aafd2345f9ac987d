"""What NVML reads of each GPU, by name: one process for each GPU, all at once, and a deadline for each call.

A GPU whose process is late is abandoned at that call; the others go on. Names and shapes are those of ``nvml_readings.READINGS``.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paddle_bootstrap.host import nvml
from paddle_bootstrap.host.facts import Abandoned, Late, Unknown
from paddle_bootstrap.host.nvml_readings import READINGS

WHOLE_SECONDS = 10.0  # all calls on one GPU: a healthy driver takes a tenth of a second
BY_INDEX = ("peers", "ancestors")  # what is told of other GPUs: JSON has made words of their numbers


def sweep(
    environ: Mapping[str, str],
    indices: Iterable[int],
    names: Iterable[str] | None = None,
    seconds: float = nvml.CALL_SECONDS,
    start: float = nvml.START_SECONDS,
    whole: float = WHOLE_SECONDS,
    without: Iterable[int] = (),
) -> dict[int, dict[str, Any]]:
    """The readings called ``names`` (default: all), and ``handle``, of each of these GPUs.

    ``seconds`` is what one call may take, ``start`` what NVML may take to begin and to open a GPU; drivers open GPUs one
    after another, so each that was opened gives the others that time anew. ``without``: GPUs that hang and are not asked about.
    The value of a reading is ``Unsupported``, ``Unknown`` (it failed), or ``Abandoned`` when another one failed before it.
    """
    wanted = tuple(names) if names is not None else tuple(READINGS)
    unknown = set(wanted) - set(READINGS)
    if unknown:
        raise ValueError(f"no such reading: {', '.join(sorted(unknown))}")
    hidden = ",".join(map(str, without))
    cards = [_Card(environ, index, wanted, _Limits(seconds, start, whole), hidden) for index in indices]
    try:
        _listen(cards)
    finally:
        nvml.ended(*(card.child for card in cards))
        for card in cards:
            nvml.close(card.child)
    return {card.index: card.readings() for card in cards}


def _listen(cards: list[_Card]) -> None:
    """Until each is done, has ended, or is late."""
    with selectors.DefaultSelector() as selector:
        for card in cards:
            selector.register(card.out, selectors.EVENT_READ, card)
        while waiting := [card for card in cards if card.out in selector.get_map()]:
            until = min(card.ends for card in waiting)
            ready = {key.data for key, _ in selector.select(max(0.0, until - time.monotonic()))}
            opened = sum(card.is_open for card in cards)
            for card in waiting:
                if card in ready:
                    card.hear()
                elif time.monotonic() >= card.ends:
                    card.give_up()
                if card.over:
                    selector.unregister(card.out)
            if sum(card.is_open for card in cards) > opened:
                for card in waiting:
                    card.wait_on()


@dataclass(frozen=True)
class _Limits:
    """In seconds: for one call, for NVML to begin and to open the GPU, for all calls after that."""

    call: float
    start: float
    whole: float


class _Card:
    """One GPU and the process that asks it."""

    def __init__(
        self, environ: Mapping[str, str], index: int, names: tuple[str, ...], limits: _Limits, without: str
    ) -> None:
        self.index = index
        self.names = names
        self.limits = limits
        self.told = nvml.Told()
        self.over = False
        self.problem: str | None = None  # why the answers end before the last one
        self.kind: type[Unknown] = Unknown  # of problem
        self.allowed = limits.start
        self.ends = time.monotonic() + limits.start
        self.last = 0.0  # when all must have been told; 0: the GPU is not open yet
        self.child: subprocess.Popen[bytes] = nvml.begun(environ, "read", str(index), ",".join(names), without)
        assert self.child.stdout is not None
        self.out = self.child.stdout

    @property
    def is_open(self) -> bool:
        """Could the GPU be had?"""
        return (self.index, "handle") in self.told.facts

    def wait_on(self) -> None:
        """Another GPU was opened: this one's turn may have come only now."""
        if not self.is_open:
            self.ends = time.monotonic() + self.limits.start

    def hear(self) -> None:
        """What it says next: that gives it time for another call."""
        part = os.read(self.out.fileno(), 1 << 16)
        self.told.feed(part)
        if self.told.done:
            self.over = True
        elif not part:
            self.over = True
            self.problem = f"{nvml.death(self.child)} {self._asked()}{self._last_words()}"
        elif self.is_open:
            now = time.monotonic()
            self.last = self.last or now + self.limits.whole
            self.ends = min(now + self.limits.call, self.last)
            self.allowed = self.limits.call if self.ends < self.last else self.limits.whole

    def give_up(self) -> None:
        """It is late. Whether its process can be ended shows at the end, when all are: that takes a second."""
        self.over = True
        self.kind = Late
        slow = self.is_open and self.ends == self.last
        what = f"everything in {self.allowed:g} s, and was given up" if slow else f"in {self.allowed:g} s"
        self.problem = f"NVML did not answer {what} {self._asked()}"
        nvml.kill(self.child)

    def _asked(self) -> str:
        asked = self.told.asked
        if not asked:
            return "while it started"
        other = f" (the call is about {asked['of']})" if "of" in asked else ""
        return f"while asked for {asked['asking']} of gpu{self.index}{other}"

    def _last_words(self) -> str:
        assert self.child.stderr is not None
        os.set_blocking(self.child.stderr.fileno(), False)
        return nvml.last_line(self.child.stderr.read() or b"")

    def readings(self) -> dict[str, Any]:
        """Every reading that was wanted, after ``handle``: whether the GPU can be had at all."""
        if self.problem and self.child.returncode == nvml.LEFT:
            self.problem += nvml.LEFT_BEHIND
        handle = self._handle()
        told = {"handle": handle}
        for name in self.names:
            value = self.told.facts.get((self.index, name))
            if isinstance(handle, Unknown):
                value = Abandoned(f"gpu{self.index} cannot be asked: {handle.reason}", handle.code)
            elif (self.index, name) not in self.told.facts:
                value = self._missing(name)
            elif name in BY_INDEX and isinstance(value, dict):
                value = {int(index): of for index, of in value.items()}
            told[name] = value
        return told

    def _handle(self) -> Any:
        """True, or what failed before: the Python module, the start of NVML, or this GPU."""
        facts = self.told.facts
        if facts.get((None, "bindings")):
            return Unknown(facts[None, "bindings"])
        begun = facts.get((None, "init"))
        if isinstance(begun, Unknown):
            return begun
        return facts.get((self.index, "handle"), self.kind(self.problem or "NVML did not say"))

    def _missing(self, name: str) -> Unknown:
        """What failed is told of the reading that was asked for then, unless it was about another GPU."""
        reason = self.problem or "NVML did not say"
        asked = self.told.asked
        failed = asked.get("asking") == name and "of" not in asked
        return self.kind(reason) if failed else Abandoned(reason)


def not_asked(handle: Unknown) -> dict[str, Any]:
    """What ``sweep`` would give of a GPU that cannot be had, for a reason that is known already."""
    others = Abandoned(f"it was not asked: {handle.reason}", handle.code)
    return {"handle": handle, **dict.fromkeys(READINGS, others)}
