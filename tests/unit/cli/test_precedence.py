"""Flag > environment > ./paddle-bootstrap.toml > user settings > built in."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from paddle_bootstrap.cli import VERBS
from paddle_bootstrap.cli.options import OPTIONS
from tests.unit.cli.conftest import Command


@pytest.fixture
def plan(command: Command, lock: Path) -> Callable[..., dict[str, Any]]:
    def described(*words: str) -> dict[str, Any]:
        said = command("plan", "--json", "--lock", lock, "--python", sys.executable, *words)
        assert said.code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)["plan"]
        return found

    return described


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_place_outranks_the_one_before(
    plan: Callable[..., dict[str, Any]], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*words: str) -> tuple[str, list[str]]:
        found = plan(*words)
        return found["target"], found["mirrors"]

    target, mirrors = told()
    assert target == f"{here}/.venv-paddle"
    assert {"official", "tuna", "ustc"} <= set(mirrors)

    user = here / "home" / ".config" / "paddle-bootstrap"
    write(user / "paddle-bootstrap.toml", 'env = "of-user"\nmirror = ["tuna", "ustc"]\n')
    assert told() == (f"{user}/of-user", ["tuna", "ustc"])

    write(here / "paddle-bootstrap.toml", 'env = "of-project"\nmirror = "aliyun"\n')
    assert told() == (f"{here}/of-project", ["aliyun"])

    monkeypatch.setenv("PADDLE_BOOTSTRAP_ENV", "of-environment")
    monkeypatch.setenv("PADDLE_BOOTSTRAP_MIRROR", "bfsu huawei")
    assert told() == (f"{here}/of-environment", ["bfsu", "huawei"])

    assert told("--env", "of-flag", "--mirror", "tencent", "--mirror", "tuna") == (
        f"{here}/of-flag",
        ["tencent", "tuna"],
    )


def test_a_file_that_is_named_stands_alone(
    plan: Callable[..., dict[str, Any]], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "paddle-bootstrap.toml", 'env = "of-project"\nmirror = ["aliyun"]\n')
    write(here / "sub" / "mine.toml", 'env = "of-mine"\n')
    found = plan("--config", "sub/mine.toml")
    assert found["target"] == f"{here}/sub/of-mine"
    assert len(found["mirrors"]) > 1
    monkeypatch.setenv("PADDLE_BOOTSTRAP_CONFIG", "sub/mine.toml")
    assert plan()["target"] == found["target"]


def test_the_active_environment_is_the_target_unless_it_is_the_tools(
    plan: Callable[..., dict[str, Any]], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(here / "active"))
    assert plan()["target"] == f"{here}/active"
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert plan()["target"] == f"{here}/.venv-paddle"


@pytest.mark.parametrize("setting", ['level = "deeep"', 'within = "soon"', 'gpus = "0,0"'])
def test_a_value_that_cannot_be_meant_names_its_file(command: Command, here: Path, setting: str) -> None:
    write(here / "home/.config/paddle-bootstrap/paddle-bootstrap.toml", setting)
    said = command("verify", "--host")
    assert (said.code, said.out) == (2, "")
    assert f"next:  correct it in {here}/home/.config/paddle-bootstrap/paddle-bootstrap.toml\n" in said.err
    key = setting.partition(" ")[0]
    assert "next:" not in command("verify", "--host", f"--{key}", "0,0").err, "a flag's own mistake is not the file's"


def test_a_settings_file_fills_no_other_parameter_of_that_name(command: Command, here: Path) -> None:
    shared = {name: click.command()(add(lambda: 0)).params[0].envvar for name, add in OPTIONS.items()}
    for name in VERBS:
        verb = importlib.import_module(f"paddle_bootstrap.cli.{name}").command
        for each in verb.commands.values() if isinstance(verb, click.Group) else [verb]:
            for param in each.params:
                assert shared.get(param.name, param.envvar) == param.envvar, (each.name, param.name)
    write(here / "paddle-bootstrap.toml", 'mirror = ["tuna"]\n')
    said = command("mirror", "env")
    assert (said.code, said.out) == (2, "")
    assert "Missing argument 'NAME|URL'" in said.err
