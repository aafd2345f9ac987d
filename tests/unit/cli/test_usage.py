"""What cannot be meant as written: exit code 2, and the nearest thing that can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.cli import VERBS, run
from tests.unit.cli.conftest import Command


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verfy"], "no such verb: 'verfy'; did you mean verify?"),
        (["frobnicate"], f"no such verb: 'frobnicate'; it is one of {', '.join(VERBS)}"),
        (["verify", "--lvel", "deep"], "'--level'"),
        (["--verbos"], "--version"),
        (["verify", "--level", "dep"], "'dep' is not one of 'quick', 'standard', 'deep'"),
        (["up", "--device", "tpu"], "'tpu' is not one of 'gpu', 'cpu'"),
        (["report", "--format", "pdf"], "'pdf' is not one of 'json', 'junit', 'terminal'"),
        (["install", "--cuda-runtime", "own"], "'own' is not one of 'auto', 'wheels', 'system'"),
        (["report", "--config"], "--config"),
        (["report", "--config", "none.toml"], "settings file not found: none.toml"),
        (["report", "--log-file", "none/log.txt"], "cannot write the log file none/log.txt: No such file or directory"),
        (["report", "none.json"], "none.json: No such file or directory"),
        (["report"], "xdg-state/paddle-bootstrap/results.json: No such file or directory"),
        (["fetch", "--python", ""], "'--python': it is empty"),
        (["fetch", "--paddle", " "], "'--paddle': it is empty"),
        (["fetch", "--lock", ""], "'--lock': it is empty"),
        (["fetch", "--mirror", ""], "'--mirror': it is empty"),
        (["fetch", "--trusted-host", "*.corp.example"], "'*.corp.example' is no host"),
        (["up", "--gpus", ""], "'--gpus': it is empty"),
        (["verify", "--host", "--gpus", ""], "'--gpus': it is empty"),
        (["verify", "--host", "-k", ""], "'-k': it is empty"),
        (["verify", "--host", "--lock", "cpu-3_3_1"], "--host judges no target, so nothing by --lock"),
        (["verify", "--checks", "none"], "/none: no such directory"),
        (["verify", "--checks", "home"], "/home: there is no check_*.py in it"),
        (["verify", "--report", "pdf:a.pdf"], "'pdf:a.pdf': give FORMAT:FILE with a format of terminal, json, junit"),
        (["verify", "--report", "report.doc"], "or a FILE that ends in .json (json), .xml (junit), .txt (terminal)"),
        (["verify", "--report", "junit:"], "'junit:': give FORMAT:FILE"),
        (["verify", "--report", "junitt:a.xml"], "'junitt:a.xml': give FORMAT:FILE"),
    ],
    ids=" ".join,
)
def test_a_usage_error(words: list[str], says: str, command: Command) -> None:
    said = command(*words)
    assert said.code == 2
    assert said.out == ""
    assert says in said.err.replace("\n", " ")
    assert "Traceback" not in said.err


def test_an_unknown_mirror_is_told_before_anything_is_fetched(command: Command, lock: Path) -> None:
    said = command("fetch", "--lock", lock, "--python", sys.executable, "--mirror", "tunna", "--store", "store")
    assert said.code == 2
    assert said.err.startswith("error: unknown mirror: 'tunna'\nnext:  did you mean tuna")
    assert "fetching" not in said.err


def test_an_unknown_setting_names_its_file_and_the_nearest_key(command: Command, here: Path) -> None:
    (here / "paddle-bootstrap.toml").write_text('miror = "tuna"\n')
    said = command("plan")
    assert said.code == 2
    assert said.err == f"error: {here}/paddle-bootstrap.toml: unknown key 'miror'\nnext:  did you mean 'mirror'?\n"


def test_a_setting_with_a_value_that_cannot_be(command: Command, here: Path) -> None:
    (here / "paddle-bootstrap.toml").write_text('level = "shallow"\n')
    said = command("verify")
    assert said.code == 2
    assert "'shallow' is not one of 'quick', 'standard', 'deep'" in said.err


BUG = """
import sys
import paddle_bootstrap.cli as cli
cli.__path__.append(sys.argv[1])
cli.VERBS["broken"] = "A verb with a bug."
sys.exit(cli.run(["broken"]))
"""


def test_a_bug_of_ours_shows_its_traceback_and_asks_for_a_report(tmp_path: Path) -> None:
    """A verb that really raises, found where verbs are found."""
    (tmp_path / "broken.py").write_text(
        "import click\n\n\n@click.command('broken')\ndef command() -> int:\n    return {}['a key that is not there']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", BUG, tmp_path], capture_output=True, text=True, check=False, env=os.environ
    )
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert f'File "{tmp_path}/broken.py", line 6, in command' in done.stderr
    assert "KeyError: 'a key that is not there'\n\nThis is a bug in paddle-bootstrap: please report it" in done.stderr


LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan", "--env", ""], "'--env': it is empty or no path"),
        (["fetch", "--store", ""], "'--store': it is empty or no path"),
        (["plan", "--env", LONG], "File name too long"),
        (["plan", "--lock", LONG], "File name too long"),
        (["plan", "--config", "/" + LONG], "File name too long"),
        (["fetch", "--trusted-host", "https://mirror.example"], "'https://mirror.example' is no host"),
        (["fetch", "--trusted-host", "mirror.example:port"], "'mirror.example:port' is no host"),
        (["fetch", "--trusted-host", ""], "'' is no host"),
        (["plan", "--device", "cpu", "--mirror", "https://a..b/"], "not a web address"),
        (["plan", "--device", "cpu", "--mirror", "https://x y/"], "not a web address"),
        (["plan", "--device", "cpu", "--mirror", f"https://{LONG}.example/"], "not a web address"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_value_that_can_mean_nothing(words: list[str], says: str, command: Command) -> None:
    said = command(*words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err.replace("\n", " ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("value", ["", "\\u0000"])
def test_a_setting_that_can_mean_nothing(value: str, command: Command, here: Path) -> None:
    (here / "paddle-bootstrap.toml").write_text(f'env = "{value}"\n')
    said = command("plan")
    assert said.code == 2
    assert "paddle-bootstrap.toml: env is empty or holds a zero byte" in said.err


def test_the_home_of_nobody_is_a_path_like_any_other(command: Command, here: Path) -> None:
    (here / "paddle-bootstrap.toml").write_text('env = "~nobody-of-that-name/x"\n')
    said = command("verify")
    assert said.code == 14
    assert "~nobody-of-that-name/x is not an environment" in said.err


def test_a_root_that_is_not_there_is_no_host_without_a_gpu(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_BOOTSTRAP_ROOTFS", "/nowhere")
    said = command("plan")
    assert said.code == 2
    assert "PADDLE_BOOTSTRAP_ROOTFS=/nowhere: no such directory" in said.err


def test_a_working_directory_that_is_gone(command: Command, here: Path) -> None:
    gone = here / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    said = command("plan")
    assert said.code == 2
    assert "the working directory is gone" in said.err


@pytest.mark.parametrize("option", ["--results", "--report"])
@pytest.mark.parametrize(("place", "told"), [("", "it is a directory"), ("a file/x.json", "is not a directory")])
def test_where_results_go_is_judged_before_any_work(
    option: str, place: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    target = tmp_path / place
    words = [option, str(target) if option == "--results" else f"json:{target}"]
    assert run(["verify", "--env", str(tmp_path / "nowhere"), *words]) == 2
    assert told in capsys.readouterr().err
