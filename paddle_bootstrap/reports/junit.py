"""JUnit XML, for CI systems. Made from our results, where an error is an error: pytest's own would call it a failure."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree as ET

from paddle_bootstrap.results.model import CheckResult, Results

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Results) -> str:
    """One test suite per group of checks."""
    totals = {"name": "paddle-bootstrap", **_counts(results.checks), "time": f"{results.seconds:.3f}"}
    root = ET.Element("testsuites", totals)
    for group, checks in groupby(results.checks, key=lambda check: check.id.partition(".")[0]):
        _suite(root, group, tuple(checks), results)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, group: str, checks: tuple[CheckResult, ...], results: Results) -> None:
    seconds = sum(check.seconds for check in checks)
    told = {"name": group, **_counts(checks), "time": f"{seconds:.3f}", "timestamp": results.created[:19]}
    suite = ET.SubElement(root, "testsuite", told)
    suite.set("hostname", _clean(str(results.host.get("hostname", ""))))
    properties = ET.SubElement(suite, "properties")
    lock = (results.lock or {}).get("name") or "none"
    for name, value in (
        ("verdict", results.verdict),
        ("device", results.device),
        ("lock", lock),
        ("tool", results.tool),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for check in checks:
        _case(suite, check)


def _case(suite: ET.Element, check: CheckResult) -> None:
    group, _, name = check.id.partition(".")
    case = ET.SubElement(suite, "testcase", classname=group, name=_clean(name or group), time=f"{check.seconds:.3f}")
    tag = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(check.outcome)
    if tag:
        found = ET.SubElement(case, tag, message=_clean(check.summary))
        if tag != "skipped":
            found.set("type", check.cause or "")
            found.text = _clean(_body(check))
    elif check.warnings:
        ET.SubElement(case, "system-out").text = _clean("\n".join(check.warnings))


def _body(check: CheckResult) -> str:
    said = (("measured", check.measured), ("expected", check.expected), ("likely", check.likely), ("next", check.fix))
    lines = [check.summary, *(f"{name}: {text}" for name, text in said if text)]
    return "\n".join([*lines, *(f"\n{name}:\n{text}" for name, text in check.evidence.items())])


def _counts(checks: tuple[CheckResult, ...]) -> dict[str, str]:
    def count(outcome: str) -> str:
        return str(sum(check.outcome == outcome for check in checks))

    return {
        "tests": str(len(checks)),
        "failures": count("failed"),
        "errors": count("error"),
        "skipped": count("skipped"),
    }


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)
