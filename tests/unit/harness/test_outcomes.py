"""What a check does, and what becomes of it: outcome, cause, and what the report is told."""

from __future__ import annotations

import time

import pytest

from paddle_bootstrap.results.model import judge
from tests.unit.harness.folders import Folder, Run, only


def test_a_check_that_passes(site: Folder, run: Run) -> None:
    site.workload("sum", "def of(a, b):\n    return a + b\n")
    site.checks('''
    def check_sum(run, measure, host):
        """Numbers can be added.

        Fix: buy an abacus
        """
        got = run("sum.of", a=1, b=2)
        measure("sum", got, "apples")
        expect(got == 3 and host.hostname == "node1", "wrong")
    ''')
    result = run()["site.sum"]
    assert (result.outcome, result.title, result.level, result.fix) == ("passed", "Numbers can be added", "quick", None)
    assert [(item.name, item.value, item.unit) for item in result.measurements] == [("sum", 3.0, "apples")]
    assert result.seconds < 20


def test_a_warning(site: Folder, run: Run) -> None:
    site.checks("def check_it(warn):\n    warn('a')\n    warn('b')\n")
    result = only(run())
    assert (result.outcome, result.summary, result.warnings) == ("warned", "a; b", ("a", "b"))
    assert judge([result]) == "accepted"


def test_a_failure_says_everything(site: Folder, run: Run) -> None:
    site.checks("""
    def check_it():
        expect(False, "too slow", measured=3, expected="5 or more", likely="old", fix="buy a new one")
    """)
    result = only(run())
    assert (result.outcome, result.cause, result.summary) == ("failed", "assertion", "too slow")
    assert (result.measured, result.expected, result.likely, result.fix) == ("3", "5 or more", "old", "buy a new one")


def test_what_is_no_text_is_told_as_text(site: Folder, run: Run) -> None:
    site.checks("""
    from pathlib import Path
    def check_a(warn, measure):
        warn(3)
        measure(1, "2", None)
    def check_b():
        expect(False, 5, measured=[1], likely=Path("/dev"), fix=7)
    """)
    warned, failed = run().values()
    assert (warned.outcome, warned.summary, warned.measurements[0].name) == ("warned", "3", "1")
    assert (failed.summary, failed.measured, failed.likely, failed.fix) == ("5", "[1]", "/dev", "7")


def test_what_cannot_be_told_spoils_no_other_check(site: Folder, run: Run) -> None:
    site.checks('''
    class Mute(Exception):
        measured = property(lambda self: self)
        def __str__(self):
            raise ValueError("no words")
    def check_blank():
        """
        """
    def check_mute():
        raise Mute
    def check_mute_failure():
        assert False, Mute()
    def check_wrong():
        assert False, "wrong"
    ''')
    results = run()
    assert {name: result.outcome for name, result in results.items()} == {
        "site.blank": "passed",
        "site.mute": "error",
        "site.mute_failure": "failed",
        "site.wrong": "failed",
    }
    assert results["site.blank"].title == "check_blank"
    assert results["site.mute"].summary == "Mute: (it cannot be shown: ValueError)"


def test_a_bare_assert_explains_itself_and_the_docstring_names_the_next_command(site: Folder, run: Run) -> None:
    site.checks(
        'def check_it():\n    """It is two.\n\n    Fix: count again\n    """\n    found = 1\n    assert found == 2\n'
    )
    result = only(run())
    assert (result.outcome, result.cause, result.summary, result.fix) == (
        "failed",
        "assertion",
        "assert 1 == 2",
        "count again",
    )
    assert "check_site.py:9" in result.evidence["traceback"]


@pytest.mark.parametrize(
    ("body", "outcome", "cause", "summary"),
    [
        ("pytest.fail('no luck')", "failed", "assertion", "no luck"),
        ("pytest.skip('not here')", "skipped", "requirement", "not here"),
        ("pytest.xfail('known')", "failed", "assertion", "known"),
        ("1 / 0", "error", "raised", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "error", "raised", "SystemExit: 0"),
        ("pytest.exit('enough', returncode=0)", "error", "raised", "CheckQuit: the check called pytest.exit: enough"),
    ],
)
def test_what_ends_a_check(site: Folder, run: Run, body: str, outcome: str, cause: str, summary: str) -> None:
    site.checks(f"def check_a():\n    {body}\ndef check_b():\n    pass\n")
    results = run()
    assert (results["site.a"].outcome, results["site.a"].cause, results["site.a"].summary) == (outcome, cause, summary)
    assert results["site.b"].outcome == "passed"
    assert judge(list(results.values())) == ("rejected" if outcome == "failed" else "inconclusive")
    assert "traceback" in results["site.a"].evidence or outcome == "skipped"


@pytest.mark.parametrize(
    ("workload", "cause", "told"),
    [
        ("import os\ndef go():\n    os.abort()\n", "crash", "bad.go: killed by SIGABRT"),
        ("import os\ndef go():\n    os._exit(-1)\n", "crash", "bad.go: exit 255"),
        ("import os\ndef go():\n    os.kill(os.getpid(), 9)\n", "crash", "bad.go: killed by SIGKILL"),
        ("import time\ndef go():\n    time.sleep(60)\n", "timeout", "bad.go did not answer in 0.4 s"),
        ("def go():\n    raise ValueError('no')\n", "raised", "bad.go raised ValueError: no"),
    ],
)
def test_a_workload_that_goes_wrong_is_one_failed_check(
    site: Folder, run: Run, workload: str, cause: str, told: str
) -> None:
    site.workload("bad", "import sys\nprint('on the way', file=sys.stderr)\n" + workload)
    site.workload("good", "def go():\n    return 1\n")
    site.checks(
        "def check_a(run):\n    run('bad.go', deadline=0.4)\ndef check_b(run):\n    assert run('good.go') == 1\n"
    )
    results = run()
    failed = results["site.a"]
    assert (failed.outcome, failed.cause, failed.required) == ("failed", cause, True)
    assert failed.summary.startswith(told)
    assert failed.measured
    assert "on the way" in failed.evidence["stderr"]
    assert results["site.b"].outcome == "passed"


@pytest.mark.parametrize(
    "call", ["'nowhere.go'", "'odd.went'", "'odd.go', size=1", "'odd.odd'", "'odd.go', x=object()"]
)
def test_a_call_that_makes_no_sense_is_an_error(site: Folder, run: Run, call: str) -> None:
    site.workload("odd", "def go():\n    pass\ndef odd():\n    return object()\n")
    site.checks(f"def check_a(run):\n    run({call})\ndef check_b(run):\n    run('odd.go')\n")
    results = run()
    assert (results["site.a"].outcome, results["site.b"].outcome) == ("error", "passed")
    assert (
        "check_site.py" in results["site.a"].evidence["traceback"]
        or "worker.py" in results["site.a"].evidence["traceback"]
    )


def test_a_check_that_fails_or_breaks_gives_up_its_worker(site: Folder, run: Run) -> None:
    """CUDA errors stick to a process."""
    site.workload("who", "import os\ndef pid():\n    print('seen')\n    return os.getpid()\n")
    site.checks("""
    pids = []
    def check_1(run):
        pids.append(run("who.pid"))
    def check_2(run):
        pids.append(run("who.pid"))
        assert False
    def check_3(run):
        pids.append(run("who.pid"))
        1 / 0
    def check_4(run):
        pids.append(run("who.pid"))
        pytest.skip("enough")
    def check_5(run):
        pids.append(run("who.pid"))
        assert [pids.index(pid) for pid in pids] == [0, 0, 2, 3, 3], pids
    """)
    results = run()
    assert [result.outcome for result in results.values()] == ["passed", "failed", "error", "skipped", "passed"]
    assert results["site.2"].evidence["stdout"] == "seen\nseen"


def test_what_the_check_itself_prints_does_not_hide_what_the_worker_printed(site: Folder, run: Run) -> None:
    site.workload("say", "def go():\n    print('worker')\n")
    site.checks("def check_it(run):\n    print('check')\n    run('say.go')\n    assert False\n")
    evidence = only(run()).evidence
    assert (evidence["stdout"], evidence["check's stdout"].strip()) == ("worker", "check")


def test_a_byte_that_no_encoding_has_reaches_no_report(site: Folder, run: Run) -> None:
    site.workload("bad", "import os\ndef go():\n    raise OSError(os.fsdecode(b'caf\\xe9'))\n")
    site.checks("def check_it(run):\n    run('bad.go')\n")
    result = only(run())
    assert "caf\\udce9" in result.summary
    repr(result).encode()
    assert all(text.encode() for text in result.evidence.values())


def test_a_check_that_hangs_is_an_error_at_its_time(site: Folder, run: Run) -> None:
    site.checks("""
    @pytest.mark.timeout(0.3)
    def check_a():
        while True:
            try:
                sum(range(1000))
            except Exception:
                pass
    def check_b():
        pass
    """)
    before = time.monotonic()
    results = run()
    assert time.monotonic() - before < 5
    assert (results["site.a"].outcome, results["site.a"].cause) == ("error", "timeout")
    assert results["site.a"].summary == "the check itself did not end in 0.3 s"
    assert "def check_a" in results["site.a"].evidence["traceback"]
    assert results["site.b"].outcome == "passed"


def test_a_hang_in_a_fixtures_teardown_spoils_no_other_check(
    site: Folder, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.checks("""
    import signal, time
    @pytest.fixture
    def slow():
        yield
        raise pytest.fail.Exception("as the clock does")
    def check_a(slow):
        pass
    """)
    site.put("sub/check_site_b.py", "def check_b():\n    pass\n")
    assert {name: result.outcome for name, result in run().items()} == {"site.a": "failed", "site_b.b": "passed"}


def test_a_marked_time_ends_a_workload_as_a_failure_of_it(site: Folder, run: Run) -> None:
    site.workload("slow", "import time\ndef go():\n    time.sleep(60)\n")
    site.checks("@pytest.mark.timeout(0.5)\ndef check_it(run):\n    run('slow.go', deadline=60)\n")
    result = only(run())
    assert (result.outcome, result.cause) == ("failed", "timeout")
