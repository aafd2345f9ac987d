"""Advisories in OSV's form, and whether one speaks of a version (ossf.github.io/osv-schema, "evaluation")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from paddle_bootstrap.errors import CouldNotLook

ECOSYSTEM = "PyPI"
SCHEMA_MAJOR = "1"


@dataclass(frozen=True)
class Range:
    """``events`` in the order in which the record has them: what (introduced, fixed, last_affected, limit) and where."""

    kind: str
    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Affected:
    """What one advisory says of one package of PyPI."""

    package: str  # normalised
    versions: tuple[str, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Advisory:
    """One record. ``names`` are its id and its aliases: records of other databases about the same thing share one."""

    id: str
    names: frozenset[str]
    modified: str
    summary: str
    severity: str
    affected: tuple[Affected, ...]
    withdrawn: bool = False


def parse(record: Any, where: str) -> Advisory:
    """One record. Raises CouldNotLook for what is none, or is of a later schema."""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str) or not record["id"].isprintable():
        raise CouldNotLook(
            f"{where} is not in OSV's form: it has no id", hint="give an export of osv.dev: PyPI/all.zip"
        )
    if str(record.get("schema_version") or SCHEMA_MAJOR).split(".")[0] != SCHEMA_MAJOR:
        raise CouldNotLook(f"{where} has schema version {record['schema_version']}", hint="update paddle-bootstrap")
    try:
        return Advisory(
            id=record["id"],
            names=frozenset({record["id"], *map(_plain, _texts(record.get("aliases")))}),
            modified=_plain(record.get("modified") or ""),
            summary=_summary(record),
            severity=_severity(record),
            affected=tuple(_affected(record)),
            withdrawn=bool(record.get("withdrawn")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CouldNotLook(f"{where}: {record['id']} cannot be read: {error!r}", hint="get the export again") from error


def _affected(record: Mapping[str, Any]) -> Iterator[Affected]:
    for item in record.get("affected") or ():
        package = item.get("package") or {}
        if str(package.get("ecosystem")).split(":")[0] == ECOSYSTEM:
            ranges = tuple(_range(each) for each in item.get("ranges") or ())
            yield Affected(canonicalize_name(package["name"]), _texts(item.get("versions")), ranges)


def _texts(value: Any) -> tuple[str, ...]:
    """Raises TypeError for what is no list of texts: half of it would look like good news."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{value!r} is no list of texts")
    return tuple(value)


def _range(item: Mapping[str, Any]) -> Range:
    events = tuple((str(what), str(value)) for event in item.get("events") or () for what, value in event.items())
    return Range(item["type"], events)


def _summary(record: Mapping[str, Any]) -> str:
    text = str(record.get("summary") or record.get("details") or "").strip()
    return _plain(text.splitlines()[0][:200]) if text else ""


def _plain(value: Any) -> str:
    """As text that can be written."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _severity(record: Mapping[str, Any]) -> str:
    """The database's own word, else the CVSS vector."""
    if told := (record.get("database_specific") or {}).get("severity"):
        return _plain(told).lower()
    return next((_plain(item.get("score", "")) for item in record.get("severity") or ()), "")


def affects(affected: Affected, version: Version) -> bool:
    """Whether ``version`` is one of those; a range that nobody can read counts as one that holds it."""
    if any(_same(text, version) for text in affected.versions):
        return True
    ranges = _by_version(affected)
    if not ranges:
        return not affected.versions  # commits alone, or nothing at all: then it may speak of any version
    return any(not each.events or _within(each.events, version) for each in ranges)


def _by_version(affected: Affected) -> list[Range]:
    """Ranges of commits say nothing of a wheel."""
    return [each for each in affected.ranges if each.kind != "GIT"]


def fixed_in(affected: Affected, version: Version) -> tuple[str, ...]:
    """The versions after ``version`` that are said to be mended."""
    found = []
    for what, text in (event for each in _by_version(affected) for event in each.events):
        try:
            if what == "fixed" and Version(text) > version:
                found.append(Version(text))
        except InvalidVersion:
            continue
    return tuple(str(each) for each in sorted(set(found)))


def _same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return text == str(version)


def _within(events: Sequence[tuple[str, str]], version: Version) -> bool:
    """The schema's algorithm: events by version; each that is reached switches the state."""
    try:
        placed = sorted(((_at(what, text), what) for what, text in events), key=_order)
    except InvalidVersion:
        return True
    limits = [at for at, what in placed if what == "limit"]
    if limits and not any(at is None or version < at for at in limits):
        return False
    inside = False
    for at, what in placed:
        if what == "introduced" and (at is None or version >= at):
            inside = True
        elif at is not None and ((what == "fixed" and version >= at) or (what == "last_affected" and version > at)):
            inside = False
    return inside


def _at(what: str, text: str) -> Version | None:
    """None: before every version (introduced "0"), or after each (limit "*")."""
    return None if (what, text) in (("introduced", "0"), ("limit", "*")) else Version(text)


def _order(event: tuple[Version | None, str]) -> tuple[bool, Version, bool]:
    """By version; where two meet, what ends comes before what begins, and "0" before all."""
    at, what = event
    return at is not None, at or Version("0"), what == "introduced"
