"""Which versions an advisory speaks of, by the schema's own rules."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from packaging.version import Version

from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.supply.audit import judge, subjects
from paddle_bootstrap.supply.osv import affects, fixed_in, parse

TODAY = date(2026, 1, 1)


def record(name: str = "X-1", package: str = "demo", **more: Any) -> dict[str, Any]:
    affected = {"package": {"ecosystem": "PyPI", "name": package}}
    for key in ("versions", "ranges"):
        if key in more:
            affected[key] = more.pop(key)
    return {"id": name, "modified": "2025-01-01T00:00:00Z", "affected": [affected], **more}


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> list[dict[str, Any]]:
    return [{"type": kind, "events": [{what: version} for what, version in pairs]}]


UNTIL = events(("introduced", "0"), ("fixed", "2.0"))
TWICE = events(("introduced", "1.0"), ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.1"))
SHUFFLED = events(("fixed", "2.1"), ("introduced", "2.0"), ("fixed", "1.2"), ("introduced", "1.0"))
LAST = events(("introduced", "1.0"), ("last_affected", "1.5"))
LIMITED = events(("introduced", "0"), ("limit", "3.0"))


@pytest.mark.parametrize(
    ("ranges", "inside", "outside"),
    [
        (UNTIL, ["0.1", "1.9", "2.0rc1"], ["2.0", "2.0.post1", "10.0"]),
        (TWICE, ["1.0", "1.1.9", "2.0"], ["0.9", "1.2", "1.9", "2.1"]),
        (SHUFFLED, ["1.0", "1.1.9", "2.0"], ["0.9", "1.2", "1.9", "2.1"]),
        (LAST, ["1.0", "1.5"], ["0.9", "1.5.1", "1.10"]),
        (LIMITED, ["2.9"], ["3.0"]),
        (events(("introduced", "1.0")), ["1.0", "99"], ["0.9"]),
        (events(("introduced", "0"), ("limit", "*")), ["9"], []),
        (events(("introduced", "not a version")), ["1.0"], []),  # nobody can tell: it counts
        (events(("introduced", "0"), ("fixed", "abcdef"), kind="GIT"), ["1.0"], []),  # commits alone: nobody can tell
        ([], ["1.0"], []),
        ([{"type": "GIT", "repo": "x"}], ["1.0"], []),
        ([{"type": "ECOSYSTEM", "events": []}], ["1.0"], []),
    ],
)
def test_ranges(ranges: list[dict[str, Any]], inside: list[str], outside: list[str]) -> None:
    (affected,) = parse(record(ranges=ranges), "x").affected
    assert [text for text in (*inside, *outside) if affects(affected, Version(text))] == inside


def test_listed_versions_and_ranges_add_up() -> None:
    (affected,) = parse(record(versions=["0.5", "1.0.0"], ranges=events(("introduced", "3"))), "x").affected
    assert [text for text in ("0.5", "1.0", "2.0", "3.0") if affects(affected, Version(text))] == ["0.5", "1.0", "3.0"]
    (listed,) = parse(record(versions=["0.5"], ranges=events(("introduced", "0"), kind="GIT")), "x").affected
    assert not affects(listed, Version("1.0"))


@given(some.lists(some.integers(1, 30), min_size=1, max_size=6, unique=True), some.integers(0, 31))
def test_any_number_of_spans(marks: list[int], at: int) -> None:
    """Against counting: a version is inside when an odd number of marks lies at or below it."""
    pairs = [(("introduced", "fixed")[index % 2], str(mark)) for index, mark in enumerate(sorted(marks))]
    (affected,) = parse(record(ranges=events(*reversed(pairs))), "x").affected
    assert affects(affected, Version(str(at))) == (sum(mark <= at for mark in marks) % 2 == 1)


def test_the_fix_after_this_version() -> None:
    (affected,) = parse(record(ranges=TWICE), "x").affected
    assert fixed_in(affected, Version("2.0")) == ("2.1",)
    assert fixed_in(affected, Version("1.0")) == ("1.2", "2.1")


def found(packages: list[tuple[str, str | None]], *records: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    findings = judge(subjects(packages), [parse(each, "x") for each in records], (), TODAY)
    return [(finding.package, finding.id, finding.aliases) for finding in findings]


def test_records_of_two_databases_are_one_finding() -> None:
    """Through a third that shares a name with each, too."""
    ghsa = record("GHSA-1", ranges=UNTIL, aliases=["CVE-1"])
    pysec = record("PYSEC-1", ranges=UNTIL, aliases=["CVE-2"])
    bridge = record("OTHER-1", ranges=UNTIL, aliases=["CVE-1", "CVE-2"])
    assert len(found([("demo", "1.0")], ghsa, pysec)) == 2
    told = [("demo", "PYSEC-1", ("GHSA-1", "CVE-1", "CVE-2", "OTHER-1"))]
    assert found([("demo", "1.0")], ghsa, pysec, bridge) == told
    assert found([("demo", "1.0")], bridge, ghsa, pysec) == told


def test_words_that_no_encoding_has() -> None:
    odd = "\ud800"
    found = parse(record(summary=odd, modified=odd, aliases=[odd], database_specific={"severity": odd}), "x")
    assert (found.summary, found.modified, found.severity) == ("\\ud800",) * 3
    assert found.names == {"X-1", "\\ud800"}


def test_withdrawn_says_nothing() -> None:
    assert found([("demo", "1.0")], record(ranges=UNTIL, withdrawn="2024-01-01T00:00:00Z")) == []


@pytest.mark.parametrize("name", ["Demo_Pkg", "demo.pkg", "demo-pkg"])
def test_names_are_normalised(name: str) -> None:
    assert len(found([("demo-pkg", "1.0")], record(package=name, ranges=UNTIL))) == 1


def test_another_ecosystem_is_not_ours() -> None:
    other = record(ranges=UNTIL)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert found([("demo", "1.0")], other) == []


@pytest.mark.parametrize("version", ["2.4.2", "2.4.2.post117", "2.4.2+cu117"])
def test_the_gpu_package_is_known_under_the_other_ones_name(version: str) -> None:
    """Advisories are published for paddlepaddle alone; .post117 and +cu117 are builds of 2.4.2, not later releases."""
    last = record(package="paddlepaddle", ranges=events(("introduced", "0"), ("last_affected", "2.4.2")))
    assert found([("paddlepaddle-gpu", version)], last) == [("paddlepaddle-gpu", "X-1", ())]
    assert found([("paddlepaddle-gpu", "2.5.0")], last) == []


@pytest.mark.parametrize("version", [None, "", "latest"])
def test_a_package_without_version_cannot_be_looked_up(version: str | None) -> None:
    with pytest.raises(CouldNotLook, match="does not tell which version of demo"):
        subjects([("demo", version)])


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {"id": 5},
        {"id": "\ud800"},
        record(schema_version="2.0.0"),
        {"id": "X", "affected": [{"package": {"ecosystem": "PyPI"}}]},
        record(versions="1.0"),
        record(versions=[1]),
        record(aliases=[1]),
        record(ranges=[{"type": "ECOSYSTEM", "events": [5]}]),
    ],
)
def test_what_is_no_record(broken: Any) -> None:
    with pytest.raises(CouldNotLook):
        parse(broken, "x")
