"""The README says what is: flags, make targets, locks and mirrors in it exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from paddle_bootstrap.cli import VERBS, main
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.mirrors.rows import rows
from paddle_bootstrap.releases import support
from paddle_bootstrap.releases.model import releases

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
FOREIGN = {"--gpus", "--no-deps", "--reinstall"}  # docker's, in a report; uv's, in what adopt says


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def flags() -> set[str]:
    commands = [main, *(main.get_command(None, verb) for verb in VERBS)]  # type: ignore[arg-type]
    commands += [each for command in commands if isinstance(command, click.Group) for each in command.commands.values()]
    return {
        flag
        for command in commands
        if command
        for option in command.params
        for flag in (*option.opts, *option.secondary_opts)
    }


@pytest.mark.parametrize("name", READMES)
def test_flags_exist(name: str) -> None:
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(name)))
    assert told - flags() <= FOREIGN
    assert len(told) >= 5


@pytest.mark.parametrize("name", READMES)
def test_make_targets_exist(name: str) -> None:
    told = set(re.findall(r"^    make ([a-z-]+)", text(name), re.MULTILINE))
    assert told <= set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    assert "up" in told


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_builds_is_that_of_the_releases(name: str) -> None:
    """`make releases` writes it."""
    assert support.replaced(text(name), releases()) == text(name)
    told = text(name).partition(support.BEGIN)[2].partition(support.END)[0]
    assert {f"`{pylock.name_of(path)}`" for path in pylock.shipped()} <= set(re.findall(r"`[^`]+`", told))
    assert re.search(r"^\| 3\.3\.1 cu126 \| 3\.9-3\.13 \| 7\.5 8\.0 8\.6 8\.9 9\.0 \|", told, re.MULTILINE)


@pytest.mark.parametrize("name", READMES)
def test_mirrors_are_named(name: str) -> None:
    assert all(mirror.name in text(name) for mirror in rows() if mirror.name != "official" and mirror.holds != "python")


def test_both_tell_the_same_exit_codes() -> None:
    codes = [re.findall(r"^\| (\d+) \|", text(name), re.MULTILINE) for name in READMES]
    assert codes[0] == codes[1]
    assert len(codes[0]) == 11
