"""The README says what is: flags, make targets, locks and mirrors in it exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from paddle_bootstrap.cli import VERBS, main
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.mirrors.rows import rows

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
FOREIGN = {"--gpus"}  # docker's, in a report


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
def test_the_table_of_locks_is_true(name: str) -> None:
    for path in pylock.shipped():
        lock = pylock.read(path)
        pythons = pylock.pythons(lock)
        assert lock.build
        row = next(line for line in text(name).splitlines() if line.startswith(f"| `{lock.name}`"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == f"{lock.build.package} {lock.build.version}"
        assert cells[2] == f"{pythons[0]}-{pythons[-1]}"
        assert cells[4].startswith(lock.build.min_driver or "")
        assert cells[5] == lock.build.glibc
        assert f"{lock.build.sass[0] / 10}" in cells[3] if lock.build.sass else "rehearsal" in row or "演练" in row


@pytest.mark.parametrize("name", READMES)
def test_mirrors_are_named(name: str) -> None:
    assert all(mirror.name in text(name) for mirror in rows() if mirror.name != "official" and mirror.holds != "python")


def test_both_tell_the_same_exit_codes() -> None:
    codes = [re.findall(r"^\| (\d+) \|", text(name), re.MULTILINE) for name in READMES]
    assert codes[0] == codes[1]
    assert len(codes[0]) == 11
