"""JUnit XML as CI systems read it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from paddle_bootstrap.reports import junit
from tests.unit.results.runs import RUNS, check, run

TAGS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


@pytest.mark.parametrize("name", RUNS)
def test_it_is_valid_and_counts_what_it_holds(name: str) -> None:
    root = ET.fromstring(junit.render(RUNS[name]).encode())
    assert root.tag == "testsuites"
    for suite in (root, *root.findall("testsuite")):
        assert suite.get("tests") == str(len(list(suite.iter("testcase"))))
        assert {count: suite.get(count) for count in TAGS.values()} == {
            count: str(len(list(suite.iter(tag)))) for tag, count in TAGS.items()
        }
        assert float(suite.get("time", "")) >= 0
    for case in root.iter("testcase"):
        assert case.get("classname")
        assert case.get("name")
        assert float(case.get("time", "")) >= 0
        assert len(case) <= 1
    expected = [check.id for check in RUNS[name].checks]
    found = [f"{case.get('classname')}.{case.get('name')}" for case in root.iter("testcase")]
    assert [id_ for id_ in found if id_ != "verdict.inconclusive"] == expected


def test_a_failure_is_no_error_and_says_everything() -> None:
    case = ET.fromstring(junit.render(RUNS["rejected"])).find(".//testcase[@name='cnn[gpu0]']")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == (
        "crash",
        "the workload cnn.train died of signal 11 (SIGSEGV)",
    )
    for part in (
        "measured: signal 11",
        "expected: an answer",
        "likely: a driver",
        "next: dmesg",
        "stack:\nFatal Python error",
    ):
        assert part in (failure.text or "")
    broken = ET.fromstring(junit.render(RUNS["inconclusive"])).find(".//testcase[@name='scratch']/error")
    assert broken is not None
    assert "KeyError" in (broken.text or "")


@pytest.mark.parametrize("name", ["inconclusive", "nothing"])
def test_what_proves_nothing_is_not_green(name: str) -> None:
    verdict = ET.fromstring(junit.render(RUNS[name])).find(".//testcase[@classname='verdict']/error")
    assert verdict is not None
    assert (verdict.get("message") or "").startswith("inconclusive: ")


def test_no_character_that_xml_lacks() -> None:
    odd = check(
        "a\x00.b\x1b[0m", outcome="failed", summary="\x07\udcff\ufffe", measured="<&>]]>", evidence={"stderr": "\x0b"}
    )
    root = ET.fromstring(junit.render(run(odd)).encode())
    case = root.find(".//testcase")
    assert case is not None
    assert (case.get("classname"), case.get("name")) == ("a\ufffd", "b\ufffd[0m")
    assert "measured: <&>]]>" in (case[0].text or "")


def test_a_suite_tells_what_was_judged() -> None:
    suite = ET.fromstring(junit.render(RUNS["warned"])).find("testsuite")
    assert suite is not None
    assert (suite.get("hostname"), suite.get("timestamp")) == ("node7", "2026-01-02T03:04:05")
    told = {row.get("name"): row.get("value") for row in suite.iter("property")}
    assert told == {"verdict": "accepted", "device": "gpu", "lock": "gpu-2_6_2-cu118", "tool": "paddle-bootstrap 0.1.0"}
    assert [said.text for said in suite.iter("system-out")] == ["/dev/shm holds 0.06 GB"]


def test_accepted_deviations_are_no_failures_and_have_a_suite_of_their_own() -> None:
    root = ET.fromstring(junit.render(RUNS["allowed"]))
    assert root.get("failures") == "0"
    suite = root.findall("testsuite")[-1]
    assert (suite.get("name"), suite.get("tests")) == ("accepted deviations", "0")
    told = {row.get("name"): row.get("value") for row in suite.iter("property")}
    allowed = "accepted until 2027-01-01: modified cards, known"
    assert told == {"memory.size[gpu0]": f"failed: 48 GB on a 24 GB model; {allowed}"}
    case = root.find(".//testcase[@name='size[gpu0]']/system-out")
    assert case is not None
    assert (case.text or "").startswith(f"{allowed}\nfailed: 48 GB on a 24 GB model\n")
