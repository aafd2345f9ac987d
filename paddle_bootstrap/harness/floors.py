"""Whether a measurement is enough: against the floor of its model, and against the other equal cards of its host.

Neither rule is enough alone: a relative one accepts a host whose cards are all bad, an absolute one a card that is 15 %
slow. Pure functions; the numbers are data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.baselines import Baselines, Floor, Share
from paddle_bootstrap.harness.models import Card, table

Outcome = Literal["passed", "warned", "failed"]

_SLOW = "heat, dust, a loose power cable, a lowered clock or limit, or another process on the card"
_NEXT = "compare clocks, temperature and throttle reasons under load: nvidia-smi -q -d CLOCK,TEMPERATURE,PERFORMANCE"


@dataclass(frozen=True)
class Context:
    """What a floor depends on besides the model. ``peaks`` (memory, pcie): 10^9 bytes per second, one way."""

    peaks: Mapping[str, float] = field(default_factory=dict)
    enforced_w: float | None = None
    default_w: float | None = None


@dataclass(frozen=True)
class Judgement:
    """What a measurement means. ``floor`` and ``peers`` belong into its ``Measurement``; the rest is for people."""

    outcome: Outcome
    floor: float | None
    source: str | None
    peers: float | None  # median of the other equal cards
    text: str  # one line
    measured: str = ""
    expected: str = ""
    likely: str = ""
    fix: str = ""
    slow: bool = False  # below a floor or its equals: worth a repeat alone


def context_of(readings: Mapping[str, Any], *, generation: object = None, width: object = None) -> Context:
    """What the readings of one card tell; one that could not be read is left out, and so is its floor.

    ``generation`` and ``width``: of the PCIe link while it worked, where known: an idle link shows generation 1.
    """
    clocks, pcie, power = (_mapping(readings.get(name)) for name in ("clocks", "pcie", "power"))
    memory = _product(clocks.get("max_memory"), readings.get("bus_width"), 2e6 / 8 / 1e9)
    lane = table().lanes.get(_int(generation) or _int(pcie.get("generation")) or 0)
    link = _product(lane, width or pcie.get("width"), 1.0)
    peaks = {"memory": memory, "pcie": link}
    return Context(
        {name: peak for name, peak in peaks.items() if peak},
        _number(power.get("enforced_w")),
        _number(power.get("default_w")),
    )


def judge(
    name: str,
    value: float,
    unit: str,
    card: Card,
    context: Context,
    others: Mapping[str, float] | None,
    baselines: Baselines,
) -> Judgement:
    """What ``value`` means. ``others``: what the other equal cards of this host measured ({"gpu1": 771.0}).

    Raises ConfigError where a floor has another unit than the measurement.
    """
    floors = _require_unit(name, unit, card, tuple(_floors(name, card, context, baselines)))
    asked = baselines.limits
    smaller = unit in asked.smaller_is_better
    weak = limited(context, asked.power)
    applying = [floor for floor in floors if not (weak and floor.powered)]
    equals = [other for other in (others or {}).values() if math.isfinite(other) and other > 0]
    peers = median(equals) if equals else None
    strict = _strictest(floors, smaller=smaller)
    found: list[tuple[Outcome, str]] = []
    if not (math.isfinite(value) and value > 0):
        found.append(("failed", "no work was done"))
    for floor in applying:
        if _below(value, floor.value, smaller=smaller):
            found.append(("warned" if floor.warns else "failed", _breach(floor, smaller=smaller)))
    if peers and (outcome := _relative(value, peers, asked.relative_fails, asked.relative_warns, smaller=smaller)):
        found.append((outcome, _apart(value, peers, smaller=smaller)))
    slow = bool(found)
    if not floors:
        found.append(("warned", f"{without_baseline(name)} on {card.label}: recorded"))
    elif not applying:
        found.append(
            ("warned", f"its power limit is {context.enforced_w:g} W of {context.default_w:g} W: no floor applies")
        )
    return _judgement(name, value, unit, found, strict, peers, slow=slow, smaller=smaller)


def without_baseline(name: str) -> str:
    """How a warning begins where nothing is known to judge by: recording a baseline looks for it."""
    return f"no baseline for {name}"


def limited(context: Context, share: float) -> bool:
    """Whether somebody has lowered the power limit, so that absolute floors say nothing."""
    return bool(context.enforced_w and context.default_w and context.enforced_w < share * context.default_w)


def _floors(name: str, card: Card, context: Context, baselines: Baselines) -> Iterator[Floor]:
    if floor := baselines.floor_of(card, name):
        yield floor
    for share in baselines.shares_of(card, name):
        if peak := context.peaks.get(share.of):
            yield from _of_peak(share, peak)


def _of_peak(share: Share, peak: float) -> Iterator[Floor]:
    for part, warns in ((share.fails, False), (share.warns, True)):
        if part:
            yield Floor(part * peak, share.unit, f"{part:g} x {peak:.4g}: {share.source}", warns, share.powered)


def _require_unit(name: str, unit: str, card: Card, floors: tuple[Floor, ...]) -> tuple[Floor, ...]:
    for floor in floors:
        if floor.unit != unit:
            raise ConfigError(
                f"{name} on {card.label} was measured in {unit!r}, but its floor is in {floor.unit!r} ({floor.source})",
                hint=f"write the floor of {name} in {unit}",
            )
    return floors


def _strictest(floors: tuple[Floor, ...], *, smaller: bool) -> Floor | None:
    """The one that reports show: of those whose breach fails, else of those that warn."""
    failing = [floor for floor in floors if not floor.warns] or list(floors)
    return min(failing, key=lambda floor: floor.value if smaller else -floor.value, default=None)


def _below(value: float, floor: float, *, smaller: bool) -> bool:
    return value > floor if smaller else value < floor


def _breach(floor: Floor, *, smaller: bool) -> str:
    side = "above its limit of" if smaller else "below its floor of"
    return f"{side} {floor.value:.4g}" + (f" ({floor.source})" if floor.warns else "")


def _relative(value: float, peers: float, fails: float, warns: float, *, smaller: bool) -> Outcome | None:
    share = peers / value if smaller and value > 0 else value / peers
    return "failed" if share < fails else "warned" if share < warns else None


def _apart(value: float, peers: float, *, smaller: bool) -> str:
    share = value / peers - 1 if smaller else 1 - value / peers
    return f"{100 * share:.0f} % slower than its equals"


def _judgement(
    name: str,
    value: float,
    unit: str,
    found: list[tuple[Outcome, str]],
    floor: Floor | None,
    peers: float | None,
    *,
    slow: bool,
    smaller: bool,
) -> Judgement:
    outcome: Outcome = "passed"
    for grade, _ in found:
        outcome = grade if outcome == "passed" or grade == "failed" else outcome
    told = [f"{_floor(smaller)} {floor.value:.4g} ({floor.source})"] if floor else []
    told += [f"median of its equals {peers:.4g}"] if peers else []
    said = "; ".join(dict.fromkeys(text for _, text in found))
    text = f"{name} {value:.4g} {unit}" + (f": {said}" if said else "")
    return Judgement(
        outcome,
        floor.value if floor else None,
        floor.source if floor else None,
        peers,
        text,
        measured=f"{value:.4g} {unit}",
        expected=", ".join(told),
        likely=_SLOW if slow else "",
        fix=_NEXT if slow else "",
        slow=slow,
    )


def _floor(smaller: bool) -> str:
    return "limit" if smaller else "floor"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _product(first: object, second: object, factor: float) -> float | None:
    a, b = _number(first), _number(second)
    return a * b * factor if a and b else None
