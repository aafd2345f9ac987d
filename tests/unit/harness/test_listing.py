"""The list of checks: made without a host, a target or a GPU."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.harness.listing import list_checks
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.reports.listing import render
from paddle_bootstrap.results.listed import Listed
from tests.unit.harness.folders import Folder

SITE = """
@pytest.mark.level("standard", seconds=7, per_gpu=2, priority=1)
def check_rate(device, cuda, measure):
    "The card copies fast."
def check_name(host):
    "The host has a name."
"""


def test_what_is_told_of_a_check(site: Folder) -> None:
    site.checks(SITE)
    assert list_checks((site.path,), None) == (
        Listed("site.rate", "standard", 1, 7.0, 2.0, ("each GPU", "CUDA driver"), "The card copies fast"),
        Listed("site.name", "quick", 2, 0.05, 0.0, ("host",), "The host has a name"),
    )


def test_the_table(site: Folder) -> None:
    site.checks(SITE)
    assert render(list_checks((site.path,), "rate")) == (
        "check      level     priority  seconds    needs                  proves\n"
        "site.rate  standard  1         7 + 2/GPU  each GPU, CUDA driver  The card copies fast\n"
    )


def test_every_level_is_listed() -> None:
    found = list_checks((built_in_checks(),), None)
    assert {check.level for check in found} == {"quick", "standard", "deep"}
    assert len({check.id for check in found}) == len(found)


def test_a_file_that_cannot_be_read_is_told(site: Folder) -> None:
    site.put("check_site.py", "import no_such_module\n")
    with pytest.raises(UsageError, match=r"cannot be listed: check_site.py cannot be read: ModuleNotFoundError"):
        list_checks((site.path,), None)


@pytest.mark.parametrize("marker", ["level('quik')", "level('quick', seconds='x')", "requires('tpu')", "timeout(0)"])
def test_a_marker_that_nobody_knows_is_told(marker: str, site: Folder) -> None:
    site.checks(f"@pytest.mark.{marker}\ndef check_name(host):\n    pass\n")
    with pytest.raises(UsageError, match=r"cannot be listed: site.name: (level|requires|timeout)\(.*: give"):
        list_checks((site.path,), None)


def test_the_examples_for_contributors_are_checks(site: Folder) -> None:
    text = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = text[text.index("    import pytest\n") : text.index("| fixture |")]
    site.put("check_example.py", textwrap.dedent(example))
    assert [(check.id, check.needs) for check in list_checks((site.path,), None)] == [
        ("example.rows", ("each GPU", "NVML")),
        ("example.device", ("each GPU", "CUDA driver")),
        ("example.repeatable", ("each GPU", "target")),
    ]


def test_a_keyword_that_nobody_understands(site: Folder) -> None:
    site.checks(SITE)
    with pytest.raises(UsageError, match="cannot be understood"):
        list_checks((site.path,), "and and")
