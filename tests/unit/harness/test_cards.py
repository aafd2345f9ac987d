"""The fixture ``reading`` on the fake NVML: a value, or a skip that is an excuse or is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.results.model import CheckResult, judge
from tests.fakes.host import H100, FakeHost
from tests.unit.harness.folders import Folder, Run

TWO = FakeHost(gpus=(H100, H100))
ROWS = """
    def check_rows(device, reading):
        assert reading("rows")["pending"] is False
        assert sorted(reading.others("rows")) == [1 - device.index]
"""
OnHost = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def on(site: Folder, run: Run, tmp_path: Path) -> OnHost:
    """Runs a check of the site's on a fake host."""

    def judged(host: FakeHost, check: str, **more: object) -> dict[str, CheckResult]:
        site.checks(check)
        (tmp_path / "host").mkdir()
        environ = {**os.environ, **host.write(tmp_path / "host")}
        known = collect(root=Path(environ["PADDLE_BOOTSTRAP_ROOTFS"]), environ=environ, deadline=1)
        return run(host=known, environ=environ, subject=Subject(None, None, "gpu", None), **more)

    return judged


def test_a_value(on: OnHost) -> None:
    assert {result.outcome for result in on(TWO, ROWS).values()} == {"passed"}


def test_what_a_card_does_not_have_excuses_the_check(on: OnHost) -> None:
    result = on(TWO.with_fault("gpu1.rows", "!3"), ROWS.replace("[1 - device.index]", "[]"))["site.rows[gpu1]"]
    assert (result.outcome, result.required) == ("skipped", False)
    assert result.summary.startswith("it has no rows: NVML code 3") or "has no rows" in result.summary


def test_no_permission_excuses_nothing(on: OnHost) -> None:
    results = on(TWO.with_fault("gpu1.rows", "!4"), ROWS.replace("[1 - device.index]", "[]"))
    result = results["site.rows[gpu1]"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert result.summary.startswith(
        "rows of gpu1 may not be read by this user: nvmlDeviceGetRemappedRows: NVML code 4"
    )
    assert judge(tuple(results.values())) == "inconclusive"


@pytest.mark.parametrize(
    "fault", [("gpu1.rows", "!15"), ("gpu1.rows", "!999"), ("gpu1.handle", "!4"), ("gpu1.rows", "^11")]
)
def test_any_other_failure_points_to_the_check_that_names_it(on: OnHost, fault: tuple[str, str]) -> None:
    result = on(TWO.with_fault(*fault), ROWS.replace("[1 - device.index]", "[]"))["site.rows[gpu1]"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert result.summary == "rows of gpu1 was not read: see nvml.answers[gpu1]"


RAW = """
    def check_raw(device, reading):
        assert [reading.raw(name).code for name in ("rows", "power")] == [15, 3]
        assert reading.raw("temperature") == reading.all()["temperature"] == 29
        assert reading.all(device.index)["temperature"] == 29
        again = reading.again()
        assert again["temperature"] == 29
        assert reading.seconds() > 0
"""


def test_raw_never_skips(on: OnHost) -> None:
    results = on(TWO.with_fault("gpu.rows", "!15").with_fault("gpu.power", "!3"), RAW)
    assert {result.outcome for result in results.values()} == {"passed"}, results


AGAIN = """
    import time
    def check_again(device, reading):
        assert reading.all()["handle"]
        began = time.monotonic()
        assert reading.again()["temperature"]
        assert time.monotonic() - began < 2
"""


def test_a_card_that_did_not_answer_is_not_asked_again(on: OnHost) -> None:
    """The others' second readings do not wait for it."""
    results = on(TWO.with_fault("gpu1.power", "~60"), AGAIN)
    assert results["site.again[gpu0]"].outcome == "passed"
    result = results["site.again[gpu1]"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert result.summary.endswith("while asked for power of gpu1): see nvml.answers[gpu1]")


LOADS = """
    def check_cuda(device, cuda):
        cuda("nothing.at_all", device=device.index)

    @pytest.mark.requires("gpu")
    def check_driver(cuda):
        cuda("nothing.at_all")
"""


def test_a_card_that_hangs_is_asked_for_nothing_more(on: OnHost, site: Folder) -> None:
    site.workload("nothing", "def at_all(device=None):\n    return {}\n")
    results = on(TWO.with_fault("gpu1.handle", "~60"), LOADS)
    result = results["site.cuda[gpu1]"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert result.summary == (
        "gpu1 hangs (NVML did not answer in 1 s while asked for nvmlDeviceGetHandleByIndex of GPU 1): see nvml.answers[gpu1]"
    )
    assert results["site.cuda[gpu0]"].outcome == "passed"
    assert results["site.driver"].summary.startswith("gpu1 hangs"), "CUDA opens all of them"


def test_a_driver_that_hangs_is_opened_by_nobody(on: OnHost) -> None:
    results = on(TWO.with_fault("sys.init", "~60"), LOADS)
    assert {result.outcome for result in results.values()} == {"skipped"}
    assert {result.required for result in results.values()} == {True}
    assert {result.summary for result in results.values()} == {
        "the driver hangs (NVML did not answer in 1 s while asked for nvmlInit): see host.driver_loaded"
    }
