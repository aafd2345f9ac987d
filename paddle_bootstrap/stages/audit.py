"""A lock against published advisories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock
from paddle_bootstrap.stages.choosing import standing_lock
from paddle_bootstrap.stages.wish import Wish
from paddle_bootstrap.supply import export, service
from paddle_bootstrap.supply.audit import Finding, judge, subjects
from paddle_bootstrap.supply.exempt import Exempt
from paddle_bootstrap.supply.export import Known


@dataclass(frozen=True)
class Audit:
    """One look at one lock."""

    lock: Lock
    packages: int
    known: Known
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        return not any(finding.counts for finding in self.findings)


def audit_lock(wish: Wish, osv: str, exempt: Sequence[Exempt]) -> Audit:
    """What is known against the lock's packages, for whatever Python. ``osv``: an export's path, or a service's address.

    Raises CouldNotLook rather than answer from half of what there is.
    """
    lock = standing_lock(wish)
    asked = subjects([(package.name, package.version) for package in pylock.packages(lock)])
    if "://" in osv:
        packages = list(dict.fromkeys((subject.name, str(subject.judged)) for subject in asked))
        known = service.ask(osv, packages, wish.environ)
    else:
        known = export.read(Path(osv), {subject.name for subject in asked})
    findings = judge(asked, known.advisories, exempt, _today(known))
    _tell_of_idle(exempt, findings, {subject.package for subject in asked})
    return Audit(lock, len({(subject.package, subject.version) for subject in asked}), known, findings)


def _today(known: Known) -> date:
    """A clock that was set back must not revive an exception: it is no earlier than the newest advisory."""
    try:
        newest = date.fromisoformat(known.newest[:10])
    except ValueError:
        return date.today()
    return max(date.today(), newest)


def _tell_of_idle(exempt: Sequence[Exempt], findings: Sequence[Finding], packages: set[str]) -> None:
    """One for another lock's package is none of this lock's business."""
    for item in exempt:
        if item.package in packages and not any(
            item.covers(f.package, frozenset({f.id, *f.aliases})) for f in findings
        ):
            progress.note(f"the exception for {item.id} of {item.package} covers nothing in this lock")
