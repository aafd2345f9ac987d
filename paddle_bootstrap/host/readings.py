"""What NVML reads of each GPU, by name: one process for each GPU, all at once, and a deadline for each call.

A GPU whose process is late is abandoned at that call; the others go on. Names and shapes are those of ``nvml_readings.READINGS``.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Iterable, Mapping
from typing import Any

from paddle_bootstrap.host import nvml
from paddle_bootstrap.host.facts import Abandoned, Late, Unknown
from paddle_bootstrap.host.nvml_readings import READINGS

LATE = "NVML did not answer in"
BY_INDEX = ("peers", "ancestors")  # what is told of other GPUs: JSON has made words of their numbers


def sweep(
    environ: Mapping[str, str],
    indices: Iterable[int],
    names: Iterable[str] | None = None,
    seconds: float = nvml.CALL_SECONDS,
    start: float = nvml.START_SECONDS,
) -> dict[int, dict[str, Any]]:
    """The readings called ``names`` (default: all), and ``handle``, of each of these GPUs.

    ``seconds`` is what one call may take, ``start`` what NVML may take to begin and to open a GPU; drivers open GPUs one
    after another, so each that was opened gives the others that time anew.
    The value of a reading is ``Unsupported``, ``Unknown`` (it failed), or ``Abandoned`` when another one failed before it.
    """
    wanted = tuple(names) if names is not None else tuple(READINGS)
    unknown = set(wanted) - set(READINGS)
    if unknown:
        raise ValueError(f"no such reading: {', '.join(sorted(unknown))}")
    cards = [_Card(environ, index, wanted, seconds, start) for index in indices]
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
            for card in waiting:
                if card in ready and card.hear():
                    for other in waiting:
                        other.wait_on()
                elif card in ready:
                    pass
                elif time.monotonic() >= card.ends:
                    card.give_up()
                if card.over:
                    selector.unregister(card.out)


class _Card:
    """One GPU and the process that asks it."""

    def __init__(
        self, environ: Mapping[str, str], index: int, names: tuple[str, ...], seconds: float, start: float
    ) -> None:
        self.index = index
        self.names = names
        self.seconds = seconds
        self.start = start
        self.told = nvml.Told()
        self.over = False
        self.problem: str | None = None  # why the answers end before the last one
        self.ends = time.monotonic() + start
        self.child: subprocess.Popen[bytes] = nvml.begun(environ, "read", str(index), ",".join(names))
        assert self.child.stdout is not None
        self.out = self.child.stdout

    def hear(self) -> None:
        """What it says next: that gives it time for another call."""
        part = os.read(self.out.fileno(), 1 << 16)
        self.told.feed(part)
        if self.told.done:
            self.over = True
        elif not part:
            self.over = True
            self.problem = f"{nvml.death(self.child)} {self._asked()}{self._last_words()}"
        elif (self.index, "handle") in self.told.facts:
            self.ends = time.monotonic() + self.seconds

    def give_up(self) -> None:
        """It is late. Whether its process can be ended shows at the end, when all are: that takes a second."""
        self.over = True
        allowed = self.seconds if (self.index, "handle") in self.told.facts else self.start
        self.problem = f"{LATE} {allowed:g} s {self._asked()}"
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
        return facts.get((self.index, "handle"), Unknown(self.problem or "NVML did not say"))

    def _missing(self, name: str) -> Unknown:
        """What failed is told of the reading that was asked for then, unless it was about another GPU."""
        reason = self.problem or "NVML did not say"
        asked = self.told.asked
        failed = asked.get("asking") == name and "of" not in asked
        return Unknown(reason) if failed else Abandoned(reason)
