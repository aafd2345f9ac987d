"""What became of a check, as a result of ours: pytest's outcomes do not tell evidence about the host from evidence about us."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness.channel import WorkloadFailed
from paddle_bootstrap.harness.clock import CheckHung
from paddle_bootstrap.harness.devices import Device, NoDevice
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.fixtures import RequirementMissing
from paddle_bootstrap.harness.naming import named
from paddle_bootstrap.harness.notes import Notes
from paddle_bootstrap.harness.subject import TEXT
from paddle_bootstrap.results.model import Cause, CheckResult, Outcome


def printable(result: CheckResult) -> CheckResult:
    """Any byte can reach us through a path or a message; one that no encoding has would stop every report."""

    def clean(value: Any) -> Any:
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value

    cleaned = {field.name: clean(getattr(result, field.name)) for field in fields(result)}
    cleaned["warnings"] = tuple(map(clean, result.warnings))
    cleaned["evidence"] = {name: clean(text) for name, text in result.evidence.items()}
    return replace(result, **cleaned)


def placed(result: CheckResult, device: Device | NoDevice | None) -> CheckResult:
    """A failure on one card says where that card is, for whoever stands before the rack: address and UUID."""
    gpu = device.gpu if isinstance(device, Device) else None
    if result.outcome != "failed" or gpu is None or not isinstance(device, Device):
        return result
    if str(gpu.pci_address) in f"{result.summary} {result.measured}":
        return result
    return replace(result, measured="; ".join(filter(None, (result.measured, named(device)))))


def of_two(name: str, first: Path, second: Path) -> CheckResult:
    """The id of two checks: the second is not run, and nothing that is said of the id would be clear."""
    return CheckResult(
        id=name,
        title="an id is one check's",
        level="quick",
        outcome="error",
        cause="raised",
        summary=f"{second} holds a check {name}, and so does {first}",
        fix=f"rename the file or the check: {second}",
    )


def left_itself_out(path: Path, said: Any) -> CheckResult:
    why = str(said[2] if isinstance(said, tuple) else said).removeprefix("Skipped: ")
    return CheckResult(
        id=path.stem.removeprefix("check_"),
        title=f"the checks in {path.name} run here",
        level="quick",
        outcome="skipped",
        cause="requirement",
        summary=f"{path.name} leaves itself out: {why}",
    )


def unreadable(path: Path, said: str) -> CheckResult:
    lines = [line.removeprefix("E ").strip() for line in said.splitlines() if line.strip()] or ["it did not say why"]
    return CheckResult(
        id=path.stem.removeprefix("check_"),
        title=f"the checks in {path.name} can be read",
        level="quick",
        outcome="error",
        cause="raised",
        summary=f"{path.name} cannot be read: {lines[-1]}",
        fix=f"mend {path}",
        evidence={"traceback": said[-TEXT:]},
    )


def judged(raised: Any, notes: Notes) -> tuple[Outcome, Cause | None, str]:
    """A failure is evidence about the host; whatever else a check raises is evidence about us."""
    if raised is None:
        return ("warned" if notes.warnings else "passed"), None, "; ".join(notes.warnings)
    error = raised.value
    told = words(error)
    if isinstance(error, pytest.skip.Exception):
        return "skipped", "requirement", told
    if isinstance(error, RequirementMissing):
        return "failed", "requirement", told
    if isinstance(error, WorkloadFailed):
        return "failed", error.cause, error.summary
    if isinstance(error, CheckHung):
        return "error", "timeout", told
    if isinstance(error, (CheckFailed, AssertionError, pytest.fail.Exception)):
        return "failed", "assertion", (told.strip() or "an assertion does not hold").splitlines()[0]
    if isinstance(error, pytest.FixtureLookupError):
        return "error", "raised", f"there is no fixture called {error.argname}"
    return "error", "raised", f"{type(error).__name__}: {told}".splitlines()[0]


def words(value: object) -> str:
    """``value`` as text, though its class is a site's and may fail at that."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 whatever it is
        return f"(it cannot be shown: {type(error).__name__})"


def said(error: BaseException | None, name: str) -> str | None:
    """As text, whatever a check gave: a path or a number would stop the report."""
    value = getattr(error, name, None)
    return None if value is None else words(value)
