"""The result of a run: one versioned document, from which every report is made. The verdict is computed here, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Outcome = Literal["passed", "warned", "failed", "error", "skipped"]
Cause = Literal["assertion", "crash", "timeout", "raised", "requirement"]
Verdict = Literal["accepted", "rejected", "inconclusive"]
Level = Literal["quick", "standard", "deep"]

EXIT_CODES: Mapping[Verdict, int] = {"accepted": 0, "rejected": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Measurement:
    """One number a check took. ``floor`` is None where no baseline is known: recorded, not judged."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    source: str | None = None
    peers: float | None = None  # median of the other equal cards of the host
    load: str | None = None  # clocks, temperature, power and throttle reasons while it was taken: one line


@dataclass(frozen=True)
class CheckResult:
    """What one check found. ``failed`` is evidence about the host, ``error`` is evidence about us."""

    id: str  # "file.function[gpu0]", without the check_ prefixes
    title: str  # first line of the check's docstring
    level: Level
    outcome: Outcome
    cause: Cause | None = None
    required: bool = True  # a required check that was skipped or in error makes the run inconclusive
    device: str | None = None  # "gpu0", "cpu"
    summary: str = ""  # one line: what was found
    measured: str | None = None
    expected: str | None = None
    likely: str | None = None  # likely cause, in words
    fix: str | None = None  # the next command to try
    measurements: tuple[Measurement, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    evidence: Mapping[str, str] = field(default_factory=dict)  # "stderr", "traceback", "stack": text, tail kept
    accepted: Mapping[str, str] | None = None  # "reason", "expires": a known deviation that the settings let pass

    @property
    def counts_as(self) -> Outcome:
        """What it means for the verdict: a deviation that was accepted is passed, and its outcome still tells what it is."""
        return "passed" if self.accepted and self.outcome in ("failed", "warned") else self.outcome


@dataclass(frozen=True)
class Results:
    """One run. ``host``, ``lock``, ``target`` and ``transfers`` are plain JSON data, as the stages gave them."""

    tool: str  # "paddle-bootstrap 0.1.0"
    created: str  # UTC, RFC 3339
    level: Level
    device: Literal["gpu", "cpu"]  # cpu: a rehearsal
    host: Mapping[str, Any]
    lock: Mapping[str, Any] | None
    target: Mapping[str, Any] | None
    transfers: Sequence[Mapping[str, Any]]
    checks: tuple[CheckResult, ...]
    seconds: float
    stage: Literal["preflight", "verify"] = "verify"
    asked: Mapping[str, str] = field(default_factory=dict)  # flags that left something out: "-k", "--gpus", "--within"
    schema_version: int = SCHEMA_VERSION

    @property
    def verdict(self) -> Verdict:
        return judge(self.checks)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


def judge(checks: Sequence[CheckResult]) -> Verdict:
    """Any failed: rejected. Else nothing run, or a required check skipped or in error: inconclusive. Else accepted."""
    if any(check.counts_as == "failed" for check in checks):
        return "rejected"
    if any(check.required and check.counts_as in ("skipped", "error") for check in checks):
        return "inconclusive"
    if not any(check.counts_as in ("passed", "warned") for check in checks):
        return "inconclusive"
    return "accepted"
