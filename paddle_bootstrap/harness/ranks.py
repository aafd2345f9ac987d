"""Why processes that work together did not come to the end: who arrived, who did not, and what lets them pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paddle_bootstrap.harness.expect import few
from paddle_bootstrap.results.model import Cause

GIVEN_UP: Mapping[str, Cause] = {"died": "crash", "raised": "raised"}
GPU_FIX = "dmesg | grep -i -e xid -e nvrm -e iommu; nvidia-smi topo -m; df -h /dev/shm"
CPU_FIX = "ip address show lo; in a container: --ipc=host"


@dataclass(frozen=True)
class Ranks:
    """Who takes part. ``gpus``: CUDA ordinals; None: processes on the CPU. ``one_way_gbs``: of NVLink, where a floor holds."""

    labels: tuple[str, ...]
    gpus: tuple[int, ...] | None = None
    memory: int | None = None  # bytes, of the smallest GPU
    one_way_gbs: float | None = None

    def named(self, numbers: Sequence[int]) -> str:
        return ", ".join(self.labels[number] for number in numbers) or "none"

    @property
    def fix(self) -> str:
        """What to look at next."""
        return GPU_FIX if self.gpus else CPU_FIX


def told_size(size: int) -> str:
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_:
            return f"{size / bytes_:g} {unit}"
    return f"{size} bytes"


def name_of(asked: Mapping[str, Any]) -> str:
    return "a training step" if asked["do"] == "train" else f"{asked['do']} of {told_size(asked['bytes'])}"


@dataclass(frozen=True)
class Problem:
    """What went wrong."""

    cause: Cause
    summary: str
    measured: str
    expected: str
    likely: str


def problem_of(told: Mapping[str, Any], ranks: Ranks, steps: Sequence[Mapping[str, Any]]) -> Problem | None:
    if told["outcome"] == "done":
        return wrong_value(told["steps"], ranks)
    where = "the forming of the group" if told["step"] is None else name_of(steps[told["step"]])
    where_it_stands = [
        f"arrived: {ranks.named(told['arrived'])}",
        f"not: {ranks.named(told['missing'])}",
        f"through: {ranks.named(told['ended'])}",
    ]
    if told["outcome"] == "hung":
        stuck = few(f"{ranks.labels[int(number)]} in {place}" for number, place in told["stuck"].items())
        return Problem(
            "timeout",
            f"{where} hangs: {who_is_missing(told, ranks)}",
            "; ".join([*where_it_stands, *filter(None, [stuck])]),
            f"all {len(ranks.labels)} ranks within {told['seconds']:g} s",
            "a rank that did not arrive hangs in its own work" if told["missing"] else "what lies between the ranks",
        )
    label = ranks.labels[told["rank"]]
    return Problem(
        GIVEN_UP[told["outcome"]],
        f"{label} fell in {where}: {told['how']}",
        "; ".join([f"{label}: {told['how']}", *where_it_stands]),
        "every rank lives to the end",
        "see the evidence: what each rank wrote",
    )


def who_is_missing(told: Mapping[str, Any], ranks: Ranks) -> str:
    if told["missing"]:
        return f"{ranks.named(told['missing'])} did not arrive"
    staying = [number for number in told["arrived"] if number not in told["ended"]]
    return f"all {len(ranks.labels)} ranks arrived, {ranks.named(staying)} did not come through"


def wrong_value(steps: Sequence[Mapping[str, Any]], ranks: Ranks) -> Problem | None:
    for told in steps:
        if told["wrong"]:
            first = told["wrong"][0]
            element, got, wanted = first["first"]
            numbers = sorted({wrong["rank"] for wrong in told["wrong"]})
            return Problem(
                "assertion",
                f"{name_of(told)} gives wrong values on {ranks.named(numbers)}",
                f"{ranks.labels[first['rank']]}, turn {first['turn']}: {first['elements']} elements are wrong, "
                f"the first is number {element}: {got}",
                f"{wanted}: the values are whole numbers, and their sums are exact",
                "data is damaged between the ranks, or in one rank's memory",
            )
    return None


def cause(
    again: Callable[[Mapping[str, str]], Mapping[str, Any]],
    ranks: Ranks,
    steps: Sequence[Mapping[str, Any]],
    problem: Problem,
    attempts: Sequence[Mapping[str, Any]],
) -> tuple[str, str]:
    """Tried again without one way of transport after the other: what then works was the cause."""
    if not ranks.gpus:
        return problem.likely, ranks.fix
    for attempt in attempts:
        if problem_of(again(attempt["settings"]), ranks, steps) is None:
            set_ = " ".join(f"{name}={value}" for name, value in attempt["settings"].items())
            return f"with {set_} it works: {attempt['likely']}", str(attempt["fix"])
    tried = ", ".join(attempts[-1]["settings"])
    return f"{problem.likely}; it is the same with {tried} set", ranks.fix
