"""What the end of a worker says: the table of signals and exit codes, and the kernel's counters of kills."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.harness.deaths import explain, memory_kills
from tests.unit.harness.folders import Folder


@pytest.mark.parametrize(
    ("code", "summary", "likely"),
    [
        (-signal.SIGSEGV, "killed by SIGSEGV", "libraries that do not fit each other"),
        (-signal.SIGABRT, "killed by SIGABRT", "cuDNN"),
        (-signal.SIGBUS, "killed by SIGBUS", "/dev/shm"),
        (-signal.SIGILL, "killed by SIGILL", "AVX"),
        (-signal.SIGTERM, "killed by SIGTERM", "scheduler"),
        (-signal.SIGKILL, "killed by SIGKILL, as the kernel does when memory runs out", "not enough memory"),
        (255, "exit 255: Paddle's own exit(-1)", "no GPU"),
    ],
)
def test_known_deaths_are_explained(code: int, summary: str, likely: str) -> None:
    death = explain(code, {}, {})
    assert death.summary == summary
    assert likely in str(death.likely)
    assert death.fix


@pytest.mark.parametrize(
    ("code", "summary"),
    [
        (7, "it ended itself with exit code 7"),
        (-signal.SIGUSR2, "killed by SIGUSR2"),
        (-(signal.SIGRTMIN + 3), f"killed by signal {signal.SIGRTMIN + 3}"),
        (None, "it closed its pipe without an answer and lives on"),
    ],
)
def test_unknown_deaths_are_named_and_not_guessed_at(code: int | None, summary: str) -> None:
    death = explain(code, {}, {})
    assert (death.summary, death.likely, death.memory) == (summary, None, None)


def test_a_counted_kill_is_evidence() -> None:
    death = explain(-signal.SIGKILL, {"cgroup": 1, "host": 4}, {"cgroup": 2, "host": 5})
    assert death.summary == "killed by SIGKILL: the kernel counts one more kill for want of memory"
    assert death.memory == "kills for want of memory, before and after: cgroup: 1 -> 2, host: 4 -> 5"


def test_counters_that_did_not_move_prove_nothing() -> None:
    death = explain(-signal.SIGKILL, {"cgroup": 2}, {"cgroup": 2})
    assert death.summary == "killed by SIGKILL, as the kernel does when memory runs out"
    assert death.memory == "kills for want of memory, before and after: cgroup: 2 -> 2"


def test_counters_say_nothing_of_other_deaths() -> None:
    assert explain(-signal.SIGSEGV, {"cgroup": 1}, {"cgroup": 2}).memory is None


Put = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    root = Folder(tmp_path)
    root.put("proc/vmstat", "nr_free_pages 1\noom_kill 4\n")
    return lambda name, text: (root.put(name, text), None)[1]


def test_counters_of_control_groups_version_2(tmp_path: Path, put: Put) -> None:
    put("proc/self/cgroup", "0::/job/7\n")
    put("sys/fs/cgroup/job/7/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert memory_kills(tmp_path) == {"host": 4, "cgroup": 2}


def test_counters_of_control_groups_version_1(tmp_path: Path, put: Put) -> None:
    put("proc/self/cgroup", "12:cpu,cpuacct:/job\n7:memory:/job/7\n")
    put("sys/fs/cgroup/memory/job/7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    assert memory_kills(tmp_path) == {"host": 4, "cgroup": 5}


def test_a_container_that_shows_less_has_a_counter_less(tmp_path: Path, put: Put) -> None:
    put("proc/self/cgroup", "0::/\n")
    assert memory_kills(tmp_path) == {"host": 4}
    assert memory_kills(tmp_path / "empty") == {}


def test_an_old_kernel_that_does_not_count(tmp_path: Path, put: Put) -> None:
    put("proc/vmstat", "nr_free_pages 1\n")
    put("proc/self/cgroup", "7:memory:/\n")
    put("sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n")
    assert memory_kills(tmp_path) == {}
