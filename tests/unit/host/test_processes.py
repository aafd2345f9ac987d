"""Processes that hang in the driver: below a root, and a real one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.host import processes
from paddle_bootstrap.host.facts import StuckProcess, Unknown
from paddle_bootstrap.host.processes import Waiting, stuck, waiting

Put = Callable[[str, "str | bytes"], Path]
SWITCHES = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n"


@pytest.fixture
def process(put: Put, tmp_path: Path) -> Callable[..., Path]:
    def make(pid: int, name: str, state: str = "D", *devices: str, status: str = SWITCHES) -> Path:
        put(f"proc/{pid}/stat", f"{pid} ({name}) {state} 1 1 1 0 -1")
        put(f"proc/{pid}/status", status)
        (tmp_path / f"proc/{pid}/fd").mkdir(exist_ok=True)
        for number, device in enumerate(devices):
            (tmp_path / f"proc/{pid}/fd/{number}").symlink_to(device)
        return tmp_path

    return make


def long_ago(root: Path) -> Waiting:
    found = waiting(root)
    return Waiting(found.moment - 3600, found.found)


def test_who_holds_a_device_or_is_the_drivers(process: Callable[..., Path]) -> None:
    process(42, "python3 (x) y", "D", "/dev/nvidia0", "/dev/nvidiactl", "/tmp/log")
    process(43, "nvidia-smi")
    process(44, "UVM GPU1 BH", status="")
    process(45, "python3", "S", "/dev/nvidia0")
    process(46, "dd", "D", "/dev/sda")
    process(47, "nvme_reset_wq")
    root = process(48, "nvidia-smi", "Z")
    assert stuck(root, long_ago(root)) == (
        StuckProcess(42, "python3 (x) y", ("/dev/nvidia0", "/dev/nvidiactl")),
        StuckProcess(43, "nvidia-smi", ()),
        StuckProcess(44, "UVM GPU1 BH", ()),
    )


def test_who_has_run_since_is_not_stuck(process: Callable[..., Path], tmp_path: Path) -> None:
    process(42, "python3", "D", "/dev/nvidia0")
    first = long_ago(process(43, "nvidia-smi"))
    (tmp_path / "proc/42/status").write_text(SWITCHES.replace("7", "8"))
    (tmp_path / "proc/43/stat").unlink()
    assert stuck(tmp_path, first) == ()


def test_garbage_and_nothing(put: Put, tmp_path: Path) -> None:
    assert stuck(tmp_path, waiting(tmp_path)) == Unknown(f"{tmp_path}/proc: No such file or directory")
    put("proc/42/stat", b"\xff\0 garbage")
    put("proc/43/other", "")
    assert stuck(tmp_path, waiting(tmp_path)) == ()


IN_THE_KERNEL = r"""
#include <sys/prctl.h>
#include <unistd.h>
int main(void)
{
    prctl(PR_SET_NAME, "nvidia-fake");
    if (vfork() == 0) { pause(); _exit(0); } /* its parent is in state D until it ends */
    return 0;
}
"""


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[int]:
    """The process id of a real process in state D."""
    (tmp_path / "hang.c").write_text(IN_THE_KERNEL)
    subprocess.run(["cc", "-o", tmp_path / "hang", tmp_path / "hang.c"], check=True)
    child = subprocess.Popen([tmp_path / "hang"], start_new_session=True)
    try:
        until = time.monotonic() + 10
        while child.pid not in (waiting(Path("/")).found or {}) and time.monotonic() < until:
            time.sleep(0.01)
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_a_real_one(hanging: int) -> None:
    started = time.monotonic()
    found = stuck(Path("/"), waiting(Path("/")))
    assert isinstance(found, tuple)
    assert [each.name for each in found if each.pid == hanging] == ["nvidia-fake"]
    assert time.monotonic() - started >= processes.APART


def test_without_one_no_time_is_lost(process: Callable[..., Path]) -> None:
    root = process(42, "python3", "R", "/dev/nvidia0")
    started = time.monotonic()
    assert stuck(root, waiting(root)) == ()
    assert time.monotonic() - started < processes.APART
