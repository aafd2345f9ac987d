"""What is known against the packages of a lock: matches, duplicates of other databases made one, exceptions applied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version

from paddle_bootstrap import toml
from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.supply.exempt import Exempt
from paddle_bootstrap.supply.osv import Advisory, affects, fixed_in

_PUBLISHED = {row["name"]: row for row in toml.read(Path(__file__).with_name("published.toml"))["package"]}
_FIRST = ("PYSEC-", "GHSA-")  # whose id names a finding that several databases have


@dataclass(frozen=True)
class Subject:
    """One package of the lock, and under which name and version advisories speak of it."""

    package: str
    version: str
    name: str
    judged: Version


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one package. ``exempt`` None: nobody has decided to live with it."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    fixed: tuple[str, ...]
    exempt: Exempt | None = None
    expired: bool = False

    @property
    def counts(self) -> bool:
        return self.exempt is None or self.expired


def subjects(packages: Sequence[tuple[str, str | None]]) -> tuple[Subject, ...]:
    """Every (name, version), and once more under the name that advisories use. Raises CouldNotLook for one without version."""
    found: dict[Subject, None] = {}
    for package, version in packages:
        try:
            public = Version(
                Version(version or "").public
            )  # a local part (+cu126) names a build, and would sort behind
        except InvalidVersion as error:
            raise CouldNotLook(
                f"the lock does not tell which version of {package} it holds, so nothing can be looked up",
                hint="lock a version of it",
            ) from error
        found[Subject(package, version or "", package, public)] = None
        if row := _PUBLISHED.get(package):
            judged = Version(re.sub(r"\.post\d+$", "", str(public))) if row["post_is_build"] else public
            found[Subject(package, version or "", row["advisories"], judged)] = None
    return tuple(found)


def judge(
    subjects: Sequence[Subject], advisories: Sequence[Advisory], exempt: Sequence[Exempt], today: date
) -> tuple[Finding, ...]:
    """The findings, by package and id; withdrawn advisories say nothing."""
    matches: dict[tuple[str, str], list[tuple[Advisory, Subject]]] = {}
    for subject in subjects:
        for advisory in advisories:
            if not advisory.withdrawn and any(
                affected.package == subject.name and affects(affected, subject.judged) for affected in advisory.affected
            ):
                matches.setdefault((subject.package, subject.version), []).append((advisory, subject))
    findings = [
        _finding(package, version, same, exempt, today)
        for (package, version), found in matches.items()
        for same in _grouped(found)
    ]
    return tuple(sorted(findings, key=lambda finding: (finding.package, finding.version, finding.id)))


def _grouped(found: Sequence[tuple[Advisory, Subject]]) -> Iterator[list[tuple[Advisory, Subject]]]:
    """Records that share a name are one, through others too."""
    groups: list[tuple[set[str], list[tuple[Advisory, Subject]]]] = []
    for item in found:
        names, members = set(item[0].names), [item]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names |= group[0]
            members = [*group[1], *members]
        groups.append((names, members))
    yield from (members for _, members in groups)


def _finding(
    package: str, version: str, same: Sequence[tuple[Advisory, Subject]], exempt: Sequence[Exempt], today: date
) -> Finding:
    names = frozenset(name for advisory, _ in same for name in advisory.names)
    ids = sorted({advisory.id for advisory, _ in same}, key=_rank)
    fixed = {
        Version(text)
        for advisory, subject in same
        for affected in advisory.affected
        if affected.package == subject.name
        for text in fixed_in(affected, subject.judged)
    }
    covering = [item for item in exempt if item.covers(package, names)]
    excuse = max(covering, key=lambda item: item.expires, default=None)
    return Finding(
        package,
        version,
        ids[0],
        tuple(sorted(names - {ids[0]}, key=_rank)),
        next((advisory.summary for advisory, _ in same if advisory.summary), ""),
        next((advisory.severity for advisory, _ in sorted(same, key=_worded) if advisory.severity), ""),
        tuple(str(each) for each in sorted(fixed)),
        excuse,
        excuse is not None and excuse.expires < today,
    )


def _worded(item: tuple[Advisory, Subject]) -> bool:
    """A word ("high") before a vector."""
    return "/" in item[0].severity


def _rank(name: str) -> tuple[int, str]:
    return next((index for index, start in enumerate(_FIRST) if name.startswith(start)), len(_FIRST)), name
