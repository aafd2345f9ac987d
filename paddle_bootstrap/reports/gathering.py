"""Checks that say the same, in a row: told once. Eight GPUs that are well need one line, not eight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from paddle_bootstrap.results.model import CheckResult


@dataclass(frozen=True)
class Row:
    """One line of a report: ``check`` speaks for all of ``checks``."""

    name: str
    checks: tuple[CheckResult, ...]

    @property
    def check(self) -> CheckResult:
        return self.checks[0]

    @property
    def seconds(self) -> float:
        """What they took together; what a skipped check took tells nobody anything."""
        return sum(check.seconds for check in self.checks if check.outcome != "skipped")


def group_of(check: CheckResult) -> str:
    """``memory`` of ``memory.rows[gpu3]``."""
    return check.id.partition(".")[0]


def name_of(check: CheckResult) -> str:
    """``rows[gpu3]`` of ``memory.rows[gpu3]``."""
    return check.id.partition(".")[2] or check.id


def groups(checks: Sequence[CheckResult], *, apart: bool) -> list[tuple[str, tuple[CheckResult, ...]]]:
    """The checks by group. Unless ``apart``, groups that were skipped as a whole for one reason are one, after the others."""
    found = [(group, tuple(some)) for group, some in groupby(checks, key=group_of)]
    if apart:
        return found
    judged, left_out = [], dict[str, list[tuple[str, tuple[CheckResult, ...]]]]()
    for group, some in found:
        reasons = {_skipped(check) for check in some}
        if len(reasons) == 1 and (reason := reasons.pop()):
            left_out.setdefault(reason, []).append((group, some))
        else:
            judged.append((group, some))
    for alike in left_out.values():
        judged.append(
            (", ".join(dict.fromkeys(group for group, _ in alike)), tuple(check for _, some in alike for check in some))
        )
    return judged


def rows(checks: Sequence[CheckResult]) -> Iterator[Row]:
    """The lines for the checks of one group: those skipped for one reason are counted, GPUs that are alike are joined,
    also across one that is not."""
    found: dict[str, list[CheckResult]] = {}
    for check in checks:
        found.setdefault(_skipped(check) or _but_for_the_device(check), []).append(check)
    for alike in map(tuple, found.values()):
        counted = len(alike) > 1 and alike[0].outcome == "skipped"
        yield Row(f"{len(alike)} checks" if counted else _joined(alike), alike)


def _skipped(check: CheckResult) -> str:
    return f"skipped: {check.summary}" if check.outcome == "skipped" else ""


def _but_for_the_device(check: CheckResult) -> str:
    """Equal for those of one check that say the same."""
    family = _family(check) or check.id
    return repr(replace(check, id=family, device=None, measurements=(), seconds=0.0, evidence={}))


def _family(check: CheckResult) -> str:
    """``memory.rows`` of ``memory.rows[gpu3]``; "" when it is not a GPU's."""
    suffix = f"[{check.device}]"
    of_gpu = (check.device or "").removeprefix("gpu").isdecimal()
    return check.id.removesuffix(suffix) if of_gpu and check.id.endswith(suffix) else ""


def _joined(checks: Sequence[CheckResult]) -> str:
    if len(checks) == 1 or not _family(checks[0]):
        return name_of(checks[0])
    numbers = [int((check.device or "").removeprefix("gpu")) for check in checks]
    return f"{_family(checks[0]).partition('.')[2]}[gpu{ranges(numbers)}]"


def names(checks: Sequence[CheckResult]) -> Iterator[str]:
    """Their ids; those of one check on several GPUs are one: ``memory.rows[gpu0-7]``."""
    for _, some in groupby(checks, key=lambda check: _family(check) or check.id):
        alike = tuple(some)
        yield f"{group_of(alike[0])}.{_joined(alike)}" if "." in alike[0].id else alike[0].id


def ranges(numbers: Sequence[int]) -> str:
    """``0-3,6`` for 0, 1, 2, 3, 6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
