"""What the command line says of itself."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import jsonschema  # type: ignore[import-untyped]
import pytest

from paddle_bootstrap import __version__
from paddle_bootstrap.cli import VERBS, main
from paddle_bootstrap.results.schema import schema
from tests.unit.cli.conftest import Command

README = Path(__file__).resolve().parents[3] / "README.md"
CODES = (0, 1, 2, 3, 10, 11, 12, 13, 14, 70, 130)


def modules_after(*words: str) -> set[str]:
    """What is imported once the command line has run ``words``."""
    code = "import sys; from paddle_bootstrap.cli import run; code = run(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_lists_every_verb(command: Command) -> None:
    said = command("--help")
    assert said.code == 0
    words = " ".join(said.out.split())
    for name, short in VERBS.items():
        assert f"{name} {short}" in words
    assert command("-h").out == said.out


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_a_file_and_the_same_short_help(name: str, command: Command) -> None:
    verb = importlib.import_module(f"paddle_bootstrap.cli.{name}").command
    assert verb.name == name
    assert " ".join(verb.help.split("\n\n")[0].split()) == VERBS[name]
    said = command(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: paddle-bootstrap {name} [OPTIONS]")
    inner = [(name, each) for each in verb.commands] if isinstance(verb, click.Group) else [(name,)]
    for words in inner:
        told = command(*words, "--help").out
        assert all(flag in told for flag in ("--config FILE", "-v, --verbose", "--log-file FILE")), words


def test_every_flag_has_help() -> None:
    for name in VERBS:
        verb = importlib.import_module(f"paddle_bootstrap.cli.{name}").command
        for each in verb.commands.values() if isinstance(verb, click.Group) else [verb]:
            assert each.short_help or each.help, (name, each.name)
            for option in each.params:
                assert isinstance(option, click.Argument) or option.help, (name, option.name)


def test_help_imports_no_verb() -> None:
    assert {name for name in modules_after("--help") if name.startswith("paddle_bootstrap.")} == {
        "paddle_bootstrap.cli",
        "paddle_bootstrap.errors",
    }


def test_report_imports_no_pytest_no_paddle_and_no_nvml(results: Path) -> None:
    found = modules_after("report", str(results))
    assert "paddle_bootstrap.reports.terminal" in found
    assert {"pytest", "_pytest", "paddle", "numpy", "pynvml", "packaging", "jsonschema"} & found == set()


def test_without_a_verb_the_help_is_shown_and_it_is_a_usage_error(command: Command) -> None:
    said = command()
    assert (said.code, said.out) == (2, "")
    assert "Verbs:" in said.err


def test_version(command: Command) -> None:
    assert command("--version").out == f"paddle-bootstrap {__version__}\n"


def test_every_exit_code_is_documented() -> None:
    told = " ".join((main.help or "").split())
    table = README.read_text(encoding="utf-8")
    for code in CODES:
        assert f" {code} " in told
        assert f"| {code} |" in table


def test_the_schema_is_printed(command: Command) -> None:
    said = command("report", "--schema")
    assert json.loads(said.out) == schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(said.out))
