"""A site's own checks, through the command line, beside the tool's own on a real target with the CPU build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.unit.harness.folders import first_line, gone

ROOT = Path(__file__).resolve().parents[2]
MARK = "# site/check_scratch.py"

pytestmark = pytest.mark.paddle


def readme_example() -> str:
    """The block of the README that begins with the name of its file."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip() == MARK)
    margin = lines[first].partition("#")[0]
    block = []
    for line in lines[first:]:
        if line.strip() == "```" or (line.strip() and not line.startswith(margin)):
            break
        block.append(line)
    return dedent("\n".join(block)).strip() + "\n"


@dataclass(frozen=True)
class Verified:
    """What one `verify` said."""

    code: int
    results: dict[str, Any]
    out: str
    err: str

    def outcomes(self) -> dict[str, str]:
        return {check["id"]: check["outcome"] for check in self.results["checks"]}

    def check(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(check for check in self.results["checks"] if check["id"] == name)
        return found


class Site:
    """A site's folder of checks, and verify with it."""

    def __init__(self, path: Path, target: Path) -> None:
        path.mkdir()
        self.path, self.target = path, target
        self.results = path.parent / "results.json"

    def put(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def command(self, *more: str) -> list[str]:
        verb = ["verify", "--env", str(self.target), "--results", str(self.results), "--checks", str(self.path)]
        return [sys.executable, "-m", "paddle_bootstrap", *verb, *more]

    def verify(self, *more: str) -> Verified:
        done = subprocess.run(self.command(*more), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        results = json.loads(self.results.read_text()) if self.results.exists() else {}
        return Verified(done.returncode, results, done.stdout, done.stderr)


@pytest.fixture
def site(tmp_path: Path, cpu_target: Path) -> Site:
    """A site with the README's example."""
    site = Site(tmp_path / "site", cpu_target)
    site.put("check_scratch.py", readme_example())
    return site


def test_the_readmes_example_is_short_and_runs_beside_all_others(site: Site) -> None:
    code = [line for line in readme_example().splitlines() if line and line != MARK]
    assert len(code) <= 6
    verified = site.verify()
    assert (verified.code, verified.results["verdict"]) == (0, "accepted"), verified.out + verified.err
    outcomes = verified.outcomes()
    assert outcomes["scratch.scratch"] == "passed"
    assert outcomes["device.cnn[cpu]"] in ("passed", "warned")
    assert list(outcomes)[-1] == "scratch.scratch"  # a site's own come last
    assert "The scratch disk has room for a dataset" in verified.out


def test_a_broken_check_beside_it_is_an_error_and_hides_nothing(site: Site) -> None:
    site.put("check_broken.py", "import no_such_module_anywhere\n\ndef check_it():\n    pass\n")
    site.put("check_buggy.py", "def check_it(host):\n    host.no_such_fact\n")
    verified = site.verify("-k", "check_scratch or buggy or cnn", "-v")
    assert (verified.code, verified.results["verdict"]) == (3, "inconclusive")
    outcomes = verified.outcomes()
    assert outcomes["scratch.scratch"] == "passed"
    assert (outcomes["broken"], outcomes["buggy.it"]) == ("error", "error")
    assert "device.cnn[cpu]" in outcomes
    assert "no_such_module_anywhere" in verified.check("broken")["evidence"]["traceback"]
    assert "No module named 'no_such_module_anywhere'" in verified.out  # -v shows the traceback


def test_a_conftest_that_cannot_be_imported_hides_nothing(site: Site) -> None:
    site.put("conftest.py", "import sys\nsys.exit(0)\n")
    verified = site.verify("-k", "scratch or cnn")
    assert verified.code == 3
    assert {"site.conftest": "error"}.items() <= verified.outcomes().items()
    assert "device.cnn[cpu]" in verified.outcomes()


def test_a_check_that_fails_rejects_the_host(site: Site) -> None:
    site.put(
        "check_rack.py",
        """
from paddle_bootstrap.harness import expect

def check_rack(run):
    \"\"\"The node stands in rack 7.

    Fix: move it
    \"\"\"
    where = run("rack.read", device="cpu")
    expect(where["rack"] == 7, "wrong rack", measured=where["rack"], expected=7)
""",
    )
    site.put(
        "workloads/rack.py", "import paddle\ndef read(device):\n    return {'rack': 3, 'by': paddle.__version__}\n"
    )
    verified = site.verify("-k", "rack or scratch")
    assert (verified.code, verified.results["verdict"]) == (1, "rejected")
    rack = verified.check("rack.rack")
    assert (rack["outcome"], rack["measured"], rack["expected"], rack["fix"]) == ("failed", "3", "7", "move it")
    assert verified.outcomes()["scratch.scratch"] == "passed"
    assert not [path for path in site.path.rglob("*") if path.name == "__pycache__"]


def test_a_workload_that_kills_the_worker_is_one_failed_check(site: Site) -> None:
    """Paddle itself ends its process with exit(-1), in some versions, when a GPU cannot be used."""
    site.put(
        "check_worker.py", "def check_a(run):\n    run('end.crash')\n\ndef check_b(run):\n    assert run('end.alive')\n"
    )
    site.put(
        "workloads/end.py",
        "import os, paddle\ndef crash():\n    os._exit(-1)\ndef alive():\n    return paddle.__version__\n",
    )
    verified = site.verify("-k", "check_worker")
    assert verified.code == 1
    assert verified.outcomes() == {"worker.a": "failed", "worker.b": "passed"}
    assert "exit 255: Paddle's own exit(-1)" in verified.check("worker.a")["summary"]


def test_keywords_and_levels(site: Site) -> None:
    site.put("check_burn.py", "import pytest\n@pytest.mark.level('deep')\ndef check_in():\n    pass\n")
    quick = site.verify("-k", "scratch or burn")
    assert (quick.code, list(quick.outcomes())) == (0, ["scratch.scratch"])
    deep = site.verify("-k", "scratch or burn", "--level", "deep")
    assert (deep.code, sorted(deep.outcomes())) == (0, ["burn.in", "scratch.scratch"])
    assert deep.results["level"] == "deep"
    none = site.verify("-k", "burn")
    assert (none.code, none.results["verdict"], none.outcomes()) == (3, "inconclusive", {})


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("-k", "scratch or ("), "-k 'scratch or (' cannot be understood"),
        (("--level", "quik"), "quik"),
        (("--checks", "/nowhere/at/all"), "/nowhere/at/all: no such directory"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(site: Site, more: tuple[str, ...], told: str) -> None:
    verified = site.verify(*more)
    assert (verified.code, verified.results) == (2, {})
    assert told in verified.err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_its_like_end_it_with_130_and_leave_no_worker(site: Site, tmp_path: Path, name: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    site.put("check_long.py", "def check_it(run):\n    run('long.go', deadline=60)\n")
    text = f"""
import os, time
def go():
    with open({str(fifo)!r}, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(300)
"""
    site.put("workloads/long.py", text)
    command = site.command("-k", "check_long")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        worker = int(first_line(fifo))
        process.send_signal(signal.Signals[name])
        if name != "SIGINT":
            process.send_signal(signal.Signals[name])  # as timeout(1) does
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert gone(worker)


def test_nohup_is_obeyed(site: Site) -> None:
    site.put("check_long.py", "import os, signal\ndef check_it():\n    os.kill(os.getpid(), signal.SIGHUP)\n")
    command = ["nohup", *site.command("-k", "check_long")]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
