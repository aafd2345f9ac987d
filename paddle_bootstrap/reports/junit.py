"""JUnit XML, for CI systems. Made from our results, where an error is an error: pytest's own would call it a failure."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree as ET

from paddle_bootstrap.reports import headline
from paddle_bootstrap.results import table
from paddle_bootstrap.results.model import CheckResult, Results

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Results) -> str:
    """One test suite per group of checks; one more when the run is inconclusive, which skips alone would show as green."""
    checks = (*results.checks, *_verdict(results))
    root = ET.Element("testsuites", {"name": "paddle-bootstrap", **_counts(checks), "time": f"{results.seconds:.3f}"})
    for group, some in groupby(checks, key=lambda check: check.id.partition(".")[0]):
        _suite(root, group, tuple(some), results)
    _accepted(root, results)
    ET.indent(root)
    text = '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
    return _NOT_XML.sub("\ufffd", text)


def _verdict(results: Results) -> tuple[CheckResult, ...]:
    if results.verdict != "inconclusive":
        return ()
    why = headline.closing(results)
    return (CheckResult("verdict.inconclusive", why, results.level, "error", cause="requirement", summary=why),)


def _suite(root: ET.Element, group: str, checks: tuple[CheckResult, ...], results: Results) -> None:
    seconds = sum(check.seconds for check in checks)
    told = {"name": group, **_counts(checks), "time": f"{seconds:.3f}", "timestamp": results.created[:19]}
    suite = ET.SubElement(root, "testsuite", {**told, "hostname": results.host["hostname"]})
    properties = ET.SubElement(suite, "properties")
    lock = results.lock["name"] if results.lock else "none"
    told = {"verdict": results.verdict, "device": results.device, "lock": lock, "tool": results.tool}
    for name, value in told.items():
        ET.SubElement(properties, "property", name=name, value=value)
    for check in checks:
        _case(suite, check)


def _accepted(root: ET.Element, results: Results) -> None:
    """Deviations that the settings let pass, in a suite of their own without cases: each is a property."""
    found = table.accepted(results.checks)
    if not found:
        return
    suite = ET.SubElement(root, "testsuite", {"name": "accepted deviations", **_counts(()), "time": "0.000"})
    properties = ET.SubElement(suite, "properties")
    for row in found:
        told = f"{row['outcome']}: {row['summary']}; accepted until {row['expires']}: {row['reason']}"
        ET.SubElement(properties, "property", name=row["id"], value=told)


def _case(suite: ET.Element, check: CheckResult) -> None:
    group, _, name = check.id.partition(".")
    case = ET.SubElement(suite, "testcase", classname=group, name=name or group, time=f"{check.seconds:.3f}")
    tag = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(check.counts_as)
    if tag:
        found = ET.SubElement(case, tag, message=check.summary)
        if tag != "skipped":
            found.set("type", check.cause or "")
            found.text = _body(check)
    elif check.accepted:
        told = f"accepted until {check.accepted['expires']}: {check.accepted['reason']}"
        ET.SubElement(case, "system-out").text = f"{told}\n{check.outcome}: {_body(check)}"
    elif check.warnings:
        ET.SubElement(case, "system-out").text = "\n".join(check.warnings)


def _body(check: CheckResult) -> str:
    said = (("measured", check.measured), ("expected", check.expected), ("likely", check.likely), ("next", check.fix))
    lines = [check.summary, *(f"{name}: {text}" for name, text in said if text)]
    return "\n".join([*lines, *(f"\n{name}:\n{text}" for name, text in check.evidence.items())])


def _counts(checks: tuple[CheckResult, ...]) -> dict[str, str]:
    def count(outcome: str) -> str:
        return str(sum(check.counts_as == outcome for check in checks))

    return {
        "tests": str(len(checks)),
        "failures": count("failed"),
        "errors": count("error"),
        "skipped": count("skipped"),
    }
