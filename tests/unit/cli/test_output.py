"""What goes where: the product on standard output, the rest on standard error and in the log, colour only where it helps."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.reports import FORMATS
from tests.fakes.mirror import FakeMirror
from tests.unit.cli.conftest import Command
from tests.unit.results.runs import RUNS

TOOL = [sys.executable, "-m", "paddle_bootstrap"]


def on_a_terminal(*words: str | Path, environ: Mapping[str, str]) -> str:
    """What the command line writes to standard output when that is a terminal."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen([*TOOL, *words], stdout=theirs, env={**os.environ, **environ})
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 1 << 16):
            said += part
    except OSError:  # Linux's way to say that nobody holds the other end
        pass
    os.close(ours)
    assert running.wait() == 0
    return said.decode()


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_on_a_terminal(environ: Mapping[str, str], coloured: bool, results: Path) -> None:
    said = on_a_terminal("report", results, environ=environ)
    assert ("\x1b[" in said) is coloured
    assert "REJECTED" in said


def test_no_colour_into_a_pipe(results: Path, command: Command) -> None:
    said = command("report", results)
    assert (said.code, said.err) == (0, "")
    assert said.out == FORMATS["terminal"](RUNS["rejected"])


def test_marks_that_the_terminal_has(results: Path) -> None:
    for encoding, mark in (("ascii", "  XX build"), ("gbk", "  XX build"), ("utf-8", "  \u2717 build")):
        done = subprocess.run(
            [*TOOL, "report", results],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert mark in done.stdout.decode(encoding)


def test_verbose_shows_evidence(results: Path, command: Command) -> None:
    assert "Segmentation fault" not in command("report", results).out
    assert "Segmentation fault" in command("report", results, "-v").out


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_on_standard_output(name: str, results: Path, command: Command) -> None:
    assert command("report", results, "--format", name).out == FORMATS[name](RUNS["rejected"])


def test_reports_into_files_by_format_and_by_suffix(results: Path, here: Path, command: Command) -> None:
    wanted = {
        "junit:sub/a.report": "junit",
        "b.xml": "junit",
        "c.json": "json",
        "d.txt": "terminal",
        "json:e:f.txt": "json",
    }
    said = command("report", results, *(word for value in wanted for word in ("--report", value)))
    assert said.code == 0, said.err
    for value, name in wanted.items():
        path = here / value.removeprefix("junit:").removeprefix("json:")
        assert path.read_text(encoding="utf-8") == FORMATS[name](RUNS["rejected"])


def test_what_is_no_results_file_is_told_with_its_place(results: Path, command: Command) -> None:
    data = json.loads(results.read_text())
    data["checks"][0]["outcome"] = "fine"
    results.write_text(json.dumps(data))
    said = command("report", results)
    assert (said.code, said.out) == (2, "")
    assert f'error: {results}: it is not a results file: checks[0].outcome: "fine" is not one of "passed"' in said.err


@pytest.mark.parametrize("words", [["report"], ["report", "--format", "json"], ["report", "--schema"]])
def test_nobody_reads(words: list[str], results: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*TOOL, *words, results], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["report"], ["report", "--format", "json"], ["report", "--schema"]])
def test_a_full_disk_behind_standard_output(words: list[str], results: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*TOOL, *words, results], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write standard output: No space left on device\nnext:")
    assert "Traceback" not in done.stderr


def test_nobody_reads_standard_error_either(lock: Path, here: Path) -> None:
    """Exit code 1 would say that the host was rejected."""
    ours, theirs = os.pipe()
    os.close(ours)
    words = [
        "fetch",
        "--lock",
        lock,
        "--python",
        sys.executable,
        "--store",
        "store",
        "--mirror",
        "http://127.0.0.1:9/simple",
    ]
    assert subprocess.run([*TOOL, *map(str, words)], stdout=theirs, stderr=theirs, check=False).returncode == 130
    os.close(theirs)


def test_the_log_has_everything_with_times_and_no_colour(lock: Path, here: Path, command: Command) -> None:
    wheels = {path.name: path.read_bytes() for path in (here / "wheels").iterdir()}
    with FakeMirror({}) as empty, FakeMirror(wheels) as full:
        words = ["fetch", "--lock", lock, "--python", sys.executable, "--mirror", empty.url, "--mirror", full.url]
        quiet = command(*words, "--store", "one", "--log-file", "log.txt")
        loud = command(*words, "--store", "two", "--log-file", "log.txt", "-v")
    assert (quiet.code, loud.code) == (0, 0), quiet.err
    assert "==> fetching 2 wheels of tiny" in quiet.err
    assert empty.url not in quiet.err
    assert empty.url in loud.err
    assert [Path(line).name for line in quiet.out.splitlines()] == sorted(wheels, reverse=True)
    lines = (here / "log.txt").read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (step|note|transfer|warn) +\S"
    assert [line for line in lines if not re.match(stamp, line)] == []
    assert len(lines) % 2 == 0
    assert any(empty.url in line for line in lines[: len(lines) // 2])  # details too, whatever is shown
