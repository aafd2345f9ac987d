"""A call to the target's Python: what comes back when the workload answers, raises, crashes, hangs or misbehaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness.channel import EVIDENCE_BYTES, WorkloadBroken, WorkloadFailed
from paddle_bootstrap.harness.pool import Pool, begin
from tests.unit.harness.folders import Folder, Pools, gone

WHO = "import os\ndef pid():\n    return os.getpid()\n"


class Bench:
    """A pool and one folder of workloads."""

    def __init__(self, pool: Pool, site: Folder) -> None:
        self.pool, self.site = pool, site
        self.folders = site.workload("who", WHO)

    def call(self, name: str, deadline: float = 20.0, **arguments: Any) -> Any:
        return self.pool.call(None, name, self.folders, arguments, deadline)

    def failed(self, text: str, deadline: float = 20.0, **arguments: Any) -> WorkloadFailed:
        """Call ``text`` as a workload that must fail; whatever it did, the next call is answered by a fresh worker."""
        before = self.call("who.pid")
        self.site.workload("bad", text)
        with pytest.raises(WorkloadFailed) as caught:
            self.call("bad.go", deadline, **arguments)
        assert self.call("who.pid") != before
        return caught.value


@pytest.fixture
def bench(pools: Pools, python: Path, site: Folder) -> Bench:
    return Bench(pools(python), site)


@pytest.fixture
def plain(pools: Pools, site: Folder) -> Bench:
    """On this Python alone."""
    return Bench(pools(), site)


def test_a_value_comes_back_and_the_worker_is_used_again(bench: Bench) -> None:
    bench.site.workload("sum", "def of(a, b, device=None):\n    return {'sum': a + b, 'device': device, 'e': 1e-9}\n")
    assert bench.call("sum.of", a=1, b=2) == {"sum": 3, "device": None, "e": 1e-9}
    assert bench.call("who.pid") == bench.call("who.pid") != os.getpid()


SIGNALS = [
    getattr(signal, f"SIG{name}") for name in ("ILL", "ABRT", "BUS", "SEGV", "FPE", "KILL", "TERM", "RTMIN", "USR2")
]


@pytest.mark.parametrize("number", SIGNALS)
def test_death_by_signal(plain: Bench, number: signal.Signals) -> None:
    failed = plain.failed(f"import os\ndef go():\n    os.kill(os.getpid(), {int(number)})\n    os.wait()\n")
    assert failed.cause == "crash"
    assert failed.summary.startswith(f"bad.go: killed by {number.name}")
    assert failed.expected == "an answer from a process that lives on"
    assert failed.fix or number in (signal.SIGRTMIN, signal.SIGUSR2)


def test_a_crash_leaves_its_python_stack(bench: Bench) -> None:
    failed = bench.failed("import ctypes\ndef go():\n    ctypes.string_at(8)\n")
    assert failed.summary == "bad.go: killed by SIGSEGV"
    assert 'bad.py", line 3 in go' in failed.evidence["stderr"]


@pytest.mark.parametrize(
    ("end", "told"), [("os._exit(-1)", "exit 255"), ("sys.exit(-1)", "exit 255"), ("os._exit(0)", "code 0")]
)
def test_a_process_that_ends_itself(bench: Bench, end: str, told: str) -> None:
    failed = bench.failed(f"import os, sys\ndef go():\n    print('no GPU here', file=sys.stderr)\n    {end}\n")
    assert failed.cause == "crash"
    assert told in failed.summary
    assert failed.measured == "no GPU here"


def test_words_of_an_earlier_call_are_not_the_last_words(plain: Bench) -> None:
    plain.site.workload("talk", "import sys\ndef on():\n    print('all is well', file=sys.stderr)\n")
    plain.call("talk.on")
    plain.site.workload("bad", "import os\ndef go():\n    os._exit(7)\n")
    with pytest.raises(WorkloadFailed) as caught:
        plain.call("bad.go")
    assert caught.value.measured == "it ended itself with exit code 7"
    assert "all is well" in caught.value.evidence["stderr"]


def test_a_hang_ends_at_its_deadline_and_leaves_its_stack(bench: Bench) -> None:
    before = time.monotonic()
    failed = bench.failed("import time\ndef go():\n    print('begun')\n    while True:\n        time.sleep(60)\n", 0.3)
    assert time.monotonic() - before < 4
    assert (failed.cause, failed.summary) == ("timeout", "bad.go did not answer in 0.3 s")
    assert failed.measured == "still in bad.py, line 5, go"
    assert 'bad.py", line 5 in go' in failed.evidence["stack"]
    assert failed.evidence["stdout"] == "begun"


def test_a_hang_that_gives_no_stack(plain: Bench) -> None:
    failed = plain.failed("import os, signal\ndef go():\n    os.kill(os.getpid(), signal.SIGSTOP)\n", 0.3)
    assert (failed.cause, failed.measured) == ("timeout", "no answer")


def test_a_worker_that_takes_no_requests(plain: Bench) -> None:
    pid = plain.call("who.pid")
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkloadFailed) as caught:  # more than a pipe holds
        plain.call("who.pid", 0.3, data="x" * (1 << 20))
    assert caught.value.cause == "timeout"
    assert gone(pid)


def test_a_worker_that_cannot_be_ended_is_left_behind(plain: Bench, tmp_path: Path) -> None:
    """As in D state: here another process holds it by ptrace, and so it stays after SIGKILL."""
    before = time.monotonic()
    failed = plain.failed(PTRACED, 0.5, note=str(tmp_path / "holder"))
    holder = int((tmp_path / "holder").read_text())
    if holder == 0:
        pytest.skip("ptrace is not permitted here")
    os.kill(holder, signal.SIGKILL)
    assert failed.measured == "no answer; the process cannot be ended (stuck in the kernel) and was left behind"
    assert failed.likely is not None
    assert "kernel" in failed.likely
    assert time.monotonic() - before < 8


PTRACED = """
import ctypes, os, signal, time
def go(note):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, anybody
    victim = os.getpid()
    if os.fork():
        while True:
            time.sleep(60)
    os.setsid()  # out of the group that is killed
    done = libc.ptrace(16, victim, None, None)  # PTRACE_ATTACH
    with open(note, "w") as file:
        file.write(str(os.getpid() if done == 0 else 0))
    while done == 0:
        time.sleep(60)
    os._exit(1)
"""


def test_an_exception_is_a_failure_with_its_traceback(bench: Bench) -> None:
    failed = bench.failed("def go():\n    raise OSError('first line\\n(External) CUDA error(999)')\n")
    assert (failed.cause, failed.summary) == ("raised", "bad.go raised OSError: (External) CUDA error(999)")
    assert failed.measured == "first line\n(External) CUDA error(999)"
    assert 'bad.py", line 2, in go' in failed.evidence["traceback"]


def test_a_type_error_from_inside_is_not_taken_for_wrong_arguments(bench: Bench) -> None:
    assert bench.failed("def go():\n    return len(3)\n").cause == "raised"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("nowhere.go", "", "there is no workload nowhere.py in "),
        ("odd.went", "def go(): pass", "has no function went"),
        ("odd", "def go(): pass", "has no function (none was named)"),
        ("odd.go", "def go(): pass", "unexpected keyword argument 'size'"),
        ("odd.go", "def go(size): return object()", "odd.go returned what JSON cannot hold"),
        ("odd.go", "def go(size): return {1j: 2}", "odd.go returned what JSON cannot hold"),
        ("odd.go", "def go(size:\n  pass", "odd.py: "),
        (
            "odd.go",
            "import os, sys\ndef go(size): os.write(int(sys.argv[2]), b'hello\\n')",
            "odd.go wrote into the pipe",
        ),
    ],
)
def test_a_call_that_cannot_be_made_or_answered_is_about_us(bench: Bench, name: str, text: str, told: str) -> None:
    bench.site.workload("odd", text)
    with pytest.raises(WorkloadBroken) as caught:
        bench.call(name, size=1)
    assert told in str(caught.value)
    assert caught.value.evidence
    assert bench.call("who.pid")


def test_a_module_that_cannot_be_imported_in_the_target_is_about_the_target(bench: Bench) -> None:
    failed = bench.failed("import no_such_module_anywhere\ndef go(): pass\n")
    assert (failed.cause, failed.summary.split(":")[0]) == ("raised", "bad.go raised ModuleNotFoundError")


def test_much_output_blocks_nothing_and_its_end_is_kept(bench: Bench) -> None:
    text = """
    import os
    def go():
        for stream in (1, 2):
            os.write(stream, b"x" * (4 << 20) + b"the end")
    """
    bench.site.workload("loud", text)
    bench.call("loud.go")
    evidence = bench.pool.evidence(None)
    assert {name: len(told) for name, told in evidence.items()} == {"stdout": EVIDENCE_BYTES, "stderr": EVIDENCE_BYTES}
    assert all(told.endswith("the end") for told in evidence.values())


def test_a_child_that_keeps_the_pipe_open_does_not_hide_the_death(bench: Bench, tmp_path: Path) -> None:
    before = time.monotonic()
    text = """
    import os, time
    def go(note):
        child = os.fork()
        if child == 0:
            time.sleep(300)
            os._exit(0)
        with open(note, "w") as file:
            file.write(str(child))
        os.abort()
    """
    failed = bench.failed(text, 60.0, note=str(tmp_path / "child"))
    assert failed.summary == "bad.go: killed by SIGABRT"
    assert time.monotonic() - before < 10
    assert gone(int((tmp_path / "child").read_text()))


def test_a_program_that_a_workload_starts_does_not_hold_the_pipes(bench: Bench, tmp_path: Path) -> None:
    bench.site.workload("look", "import os\ndef fds(note):\n    os.system('ls -l /proc/self/fd > ' + note)\n")
    bench.call("look.fds", note=str(tmp_path / "note"))
    told = (tmp_path / "note").read_text()
    assert "/dev/null" in told
    assert "pipe:" not in told


def test_children_of_a_hung_workload_end_with_it(plain: Bench, tmp_path: Path) -> None:
    text = """
    import subprocess
    def go(note):
        child = subprocess.Popen(["sleep", "300"])
        with open(note, "w") as file:
            file.write(str(child.pid))
        child.wait()
    """
    assert plain.failed(text, 0.5, note=str(tmp_path / "child")).cause == "timeout"
    assert gone(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("seats", [(None,), (None, 1, 2)])
def test_close_ends_workers_in_the_middle_of_a_call(pools: Pools, site: Folder, seats: tuple[int | None, ...]) -> None:
    pool = pools()
    folders = site.workload("who", WHO + "def wait():\n    import time\n    time.sleep(300)\n")
    pids = [pool.call(seat, "who.pid", folders, {}, 20) for seat in seats]
    assert len(set(pids)) == len(seats)
    waiting = [begin(pool.call, seat, "who.wait", folders, {}, 60) for seat in seats]
    pool.close()
    assert all(gone(pid) for pid in pids)
    assert all(isinstance(call.exception(5), (WorkloadFailed, WorkloadBroken)) for call in waiting)
    with pytest.raises(WorkloadBroken, match="the run is over"):
        pool.call(None, "who.pid", folders, {}, 20)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_leaks_when_workers_come_and_go(plain: Bench) -> None:
    plain.call("who.pid")
    before = open_files(), threading.active_count()
    for _ in range(5):
        with suppress(WorkloadBroken):
            plain.call("nowhere.go")
    plain.call("who.pid")
    assert (open_files(), threading.active_count()) == before


Target = Callable[[str], Path]
USES_PADDLE = "def go():\n    import paddle\n    return paddle.ready\n"


def test_paddle_is_imported_ahead(pools: Pools, site: Folder, target_with: Target, tmp_path: Path) -> None:
    pool = pools(target_with(f"open({str(tmp_path / 'seen')!r}, 'a').write('once ')\nready = True"), ahead="paddle")
    folders = site.workload("who", WHO)
    pool.call(None, "who.pid", folders, {}, 20)
    assert (tmp_path / "seen").read_text() == "once "


@pytest.mark.parametrize(
    ("paddle", "cause", "told"),
    [
        ("import os; os.abort()", "crash", "use.go: killed by SIGABRT"),
        ("import os; os._exit(-1)", "crash", "use.go: exit 255: Paddle's own exit(-1)"),
        ("import sys; sys.exit(3)", "crash", "use.go: it ended itself with exit code 3"),
        ("import time; time.sleep(300)", "timeout", "use.go did not answer in 0.5 s"),
        (
            "raise ImportError('libcudart.so.11.0: cannot open')",
            "raised",
            "use.go raised ImportError: libcudart.so.11.0: cannot open",
        ),
    ],
)
def test_an_import_that_goes_wrong_is_told_by_the_call_that_needs_it(
    pools: Pools, site: Folder, target_with: Target, paddle: str, cause: str, told: str
) -> None:
    pool = pools(target_with(paddle), ahead="paddle", import_seconds=0.5)
    site.workload("who", WHO)
    folders = site.workload("use", USES_PADDLE)
    assert pool.call(None, "who.pid", folders, {}, 20)  # a call that needs no Paddle is not touched by it
    with pytest.raises(WorkloadFailed) as caught:
        pool.call(None, "use.go", folders, {}, 0.5)
    assert (caught.value.cause, caught.value.summary) == (cause, told)
    assert pool.call(None, "who.pid", folders, {}, 20)


def test_the_second_import_tells_the_first_ones_error(pools: Pools, site: Folder, target_with: Target) -> None:
    """A module that failed half way can seem to succeed on a second try."""
    paddle = "import builtins\nif not hasattr(builtins, 'tried'):\n    builtins.tried = 1\n    raise OSError('cuDNN')\nready = 1"
    pool = pools(target_with(paddle), ahead="paddle")
    with pytest.raises(WorkloadFailed, match="raised OSError: cuDNN"):
        pool.call(None, "use.go", site.workload("use", USES_PADDLE), {}, 20)
