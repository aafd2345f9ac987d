"""Which checks run, and which skips leave the verdict as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddle_bootstrap.errors import TargetRefused
from paddle_bootstrap.harness.session import run_checks
from paddle_bootstrap.harness.subject import Subject
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import judge
from tests.fakes import facts
from tests.unit.harness.folders import Folder, Run, only

BUILD = Build(
    id="cpu-3_3_1",
    package="paddlepaddle",
    version="3.3.1",
    device="cpu",
    cuda=None,
    cudnn_built=None,
    cudnn_runtime=None,
    min_driver=None,
    toolkit_driver=None,
    sass=(),
    ptx=(),
    glibc=None,
    glibcxx=None,
    cpu_flags=(),
    unpacked_bytes=1,
    libraries=None,
    index_folder=None,
)


def test_levels_choose_checks(site: Folder, run: Run) -> None:
    levels = ("quick", "standard", "deep")
    site.checks("".join(f"@pytest.mark.level('{level}')\ndef check_{level}():\n    pass\n" for level in levels))
    for count, level in enumerate(levels, 1):
        results = run(level=level)
        assert [(result.id, result.level) for result in results.values()] == [(f"site.{n}", n) for n in levels[:count]]


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("level('quik')", "level('quik'): give one of quick, standard, deep"),
        ("level()", "level(): give one of"),
        ("requires('tpu')", "requires('tpu'): give one of gpu"),
        ("timeout('soon')", "timeout('soon'): give the seconds"),
        ("timeout()", "timeout(): give the seconds"),
        ("timeout(0)", "timeout(0): give the seconds"),
    ],
)
def test_a_marker_that_nobody_understands_is_an_error(site: Folder, run: Run, marker: str, told: str) -> None:
    site.checks(f"@pytest.mark.{marker}\ndef check_a():\n    pass\ndef check_b():\n    pass\n")
    results = run()
    assert results["site.a"].outcome == "error"
    assert told in results["site.a"].summary
    assert results["site.b"].outcome == "passed"


def test_a_gpu_check_on_a_rehearsal_is_skipped_and_excused(site: Folder, run: Run) -> None:
    site.checks("@pytest.mark.requires('gpu')\ndef check_it():\n    assert False\ndef check_other(device):\n    pass\n")
    results = run()
    gpu = results["site.it"]
    assert (gpu.outcome, gpu.required, gpu.summary) == ("skipped", False, "rehearsal on the CPU")
    assert results["site.other[cpu]"].device == "cpu"
    assert judge(list(results.values())) == "accepted"


@pytest.mark.parametrize("asks", ["reading", "cuda"])
def test_what_asks_the_driver_needs_no_marker_on_a_rehearsal(asks: str, site: Folder, run: Run) -> None:
    site.checks(f"def check_it(device, {asks}):\n    assert False\ndef check_other():\n    pass\n")
    found = run()["site.it[cpu]"]
    assert (found.outcome, found.required, found.summary) == ("skipped", False, "rehearsal on the CPU")


def test_a_check_that_returns_instead_of_asserting_is_an_error(site: Folder, run: Run) -> None:
    site.checks("def check_it():\n    return 1 < 0\n")
    found = only(run())
    assert found.outcome == "error"
    assert "site.py::check_it returned" in found.summary


def test_without_a_lock_its_checks_say_so(site: Folder, run: Run) -> None:
    site.checks("def check_it(lock):\n    assert lock.build.version == '3.3.1'\n")
    unlocked = only(run())
    assert (unlocked.outcome, unlocked.required) == ("skipped", False)
    assert "not installed by paddle-bootstrap" in unlocked.summary
    locked = only(run(subject=Subject(site.path, Path(sys.executable), "cpu", BUILD)))
    assert locked.outcome == "passed"


def test_a_skip_of_ones_own_is_not_excused(site: Folder, run: Run) -> None:
    site.checks("@pytest.mark.skipif(True, reason='not today')\ndef check_it():\n    pass\n")
    result = only(run())
    assert (result.outcome, result.required, result.summary) == ("skipped", True, "not today")
    assert judge([result]) == "inconclusive"


def test_nothing_chosen_is_no_result_at_all(site: Folder, run: Run) -> None:
    site.checks("def check_it():\n    pass\n")
    results = run(keyword="no_check_is_called_like_this")
    assert results == {}
    assert judge([]) == "inconclusive"


def test_results_arrive_one_by_one(site: Folder) -> None:
    site.checks("def check_a():\n    pass\ndef check_b():\n    pass\n")
    seen: list[str] = []
    subject = Subject(site.path, Path(sys.executable), "cpu", None)
    told = run_checks(
        subject,
        facts=facts.host,
        checks=(site.path,),
        keyword="check_site",
        on_result=lambda result: seen.append(result.id),
    )
    assert seen == [result.id for result in told] == ["site.a", "site.b"]


def test_the_preflight_leaves_out_what_needs_a_target(site: Folder) -> None:
    told = run_checks(
        Subject(None, None, "gpu", None), facts=lambda: facts.host(1), host_only=True, checks=(site.path,)
    )
    assert told
    assert not {result.id.partition(".")[0] for result in told} & {"device", "libraries", "files"}
    assert not any(result.outcome == "error" for result in told)


def test_a_python_that_cannot_be_run_is_refused(site: Folder, run: Run, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("no program")
    with pytest.raises(TargetRefused, match="python cannot be run: Permission denied"):
        run(subject=Subject(site.path, tmp_path / "python", "cpu", None))


def test_two_checks_of_one_id_are_an_error(site: Folder, run: Run, tmp_path: Path) -> None:
    """An acceptance or a dashboard could mean either. The same file twice, as a bundle may bring it, is one check."""
    site.checks("def check_a():\n    pass\n")
    other, same = Folder(tmp_path / "other"), Folder(tmp_path / "same")
    other.checks("def check_a():\n    assert False\n")
    same.checks("def check_a():\n    pass\n")
    clash = list(
        run_checks(
            Subject(site.path, Path(sys.executable), "cpu", None),
            facts=facts.host,
            checks=(site.path, other.path),
            keyword="check_site",
        )
    )
    assert [(result.id, result.outcome) for result in clash] == [("site.a", "passed"), ("site.a", "error")]
    assert "holds a check site.a, and so does" in clash[1].summary
    alike = run_checks(
        Subject(site.path, Path(sys.executable), "cpu", None),
        facts=facts.host,
        checks=(site.path, same.path),
        keyword="check_site",
    )
    assert [(result.id, result.outcome) for result in alike] == [("site.a", "passed")]
