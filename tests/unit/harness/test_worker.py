"""The worker without its parent: it ends by itself, and never by a trace in the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from paddle_bootstrap.harness.channel import WORKER
from tests.unit.harness.folders import Folder, gone

PARENT = """
import json, os, sys
from pathlib import Path
from paddle_bootstrap.harness.pool import Pool
pool = Pool(Path(sys.executable), dict(os.environ), None)
print(pool.call(None, "who.pid_of_one_with_much_to_do_at_exit", [Path(sys.argv[1])], {}, 20), flush=True)
sys.stdin.read()
"""


def test_a_worker_ends_when_its_parent_was_killed(site: Folder) -> None:
    text = """
    import atexit, os, time
    def pid_of_one_with_much_to_do_at_exit():
        atexit.register(time.sleep, 60)
        return os.getpid()
    """
    (folder,) = site.workload("who", text)
    command = [sys.executable, "-c", PARENT, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.send_signal(signal.SIGKILL)
    assert gone(worker)


def test_a_busy_worker_and_what_it_started_end_when_its_parent_was_killed(site: Folder) -> None:
    text = """
    import os, subprocess, sys
    def pid_of_one_with_much_to_do_at_exit():  # the name that PARENT calls
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        print(os.getpid(), child.pid, file=open(__file__ + ".pids", "w"), flush=True)
        while True:
            pass
    """
    (folder,) = site.workload("who", text)
    told = folder / "who.py.pids"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdin=subprocess.PIPE) as parent:
        ends = time.monotonic() + 20
        while not (told.exists() and told.read_text().endswith("\n")) and time.monotonic() < ends:
            time.sleep(0.01)
        parent.send_signal(signal.SIGKILL)
    assert [gone(int(pid)) for pid in told.read_text().split()] == [True, True]


def start(python: Path) -> tuple[subprocess.Popen[str], int, int]:
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    command = [str(python), "-I", "-B", str(WORKER), str(request_read), str(reply_write)]
    process = subprocess.Popen(command, pass_fds=(request_read, reply_write), stderr=subprocess.PIPE, text=True)
    os.close(request_read)
    os.close(reply_write)
    return process, request_write, reply_read


def test_a_call_that_hangs_ends_some_time_after_its_deadline_though_nobody_kills_it(python: Path, site: Folder) -> None:
    (folder,) = site.workload("hang", "import time\ndef go():\n    while True:\n        time.sleep(60)\n")
    process, requests, replies = start(python)
    early = 0.5 - 15  # the worker adds 15 s of its own
    request = {"call": "hang.go", "folders": [str(folder)], "arguments": {}, "deadline": early}
    os.write(requests, json.dumps(request).encode() + b"\n")
    _, said = process.communicate(timeout=10)
    os.close(requests)
    os.close(replies)
    assert process.returncode == 1
    assert 'hang.py", line 4 in go' in said


def test_an_idle_worker_ends_with_its_pipe(python: Path) -> None:
    process, requests, replies = start(python)
    os.close(requests)
    _, said = process.communicate(timeout=10)
    os.close(replies)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("settings", [{"PYTHONPATH": "hostile"}, {"PYTHONSTARTUP": "hostile/json.py"}])
def test_python_variables_and_the_working_directory_do_not_reach_it(
    tmp_path: Path, settings: dict[str, str], site: Folder
) -> None:
    Folder(tmp_path / "hostile").put("json.py", "raise SystemExit('hostile')")
    Folder(tmp_path).put("json.py", "raise SystemExit('hostile')")
    (folder,) = site.workload(
        "who", "import os\ndef seen():\n    return sorted(n for n in os.environ if n[:6] == 'PYTHON')\n"
    )
    program = dedent("""
    import sys; sys.path.insert(0, sys.argv[2])
    from pathlib import Path
    from paddle_bootstrap.harness.pool import Pool
    import os
    pool = Pool(Path(sys.executable), dict(os.environ, **{sys.argv[3]: sys.argv[4]}), None)
    print(pool.call(None, "who.seen", [Path(sys.argv[1])], {}, 20))
    pool.close()
    """)
    (name, value), root = next(iter(settings.items())), str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-I", "-c", program, str(folder), root, name, value]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "[]\n"
