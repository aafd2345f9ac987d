"""``--no-keep-wheels``: the store holds the unpacked copies alone, and that is enough until one of them is edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.wheels import CPU, ONE, Provisioning


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def wheel_files(it: Provisioning, name: str) -> list[str]:
    return [wheel.path.name for wheel in it.sets[name] if it.store.path(wheel.sha256, wheel.path.name).exists()]


def missing(it: Provisioning, verb: str, *more: str) -> list[str]:
    """What ``plan`` would fetch."""
    command = [verb if word == "install" else word for word in it.command("one", *more)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(it.root)})
    found: list[str] = json.loads(done.stdout)["plan"]["missing"]
    return found


def test_unpacked_copies_are_enough(it: Provisioning) -> None:
    done = it.install("one", "--no-keep-wheels")
    assert done.returncode == 0, done.stderr
    assert "==> removed 4 wheel files from the store (" in done.stderr
    assert wheel_files(it, "one") == []
    assert len(wheel_files(it, "two")) == 2  # the others are in both sets
    second = it.root / "second"
    nowhere = ("--mirror", "http://127.0.0.1:9/simple")
    assert missing(it, "plan", "--json", "--env", str(second)) == []
    assert it.install("one", *nowhere, env=second).returncode == 0
    assert it.edition(second) == ONE
    assert f"{it.env}: nothing to do" in it.install("one", *nowhere).stdout


def test_an_edited_file_is_fetched_again(it: Provisioning) -> None:
    assert it.install("one", "--no-keep-wheels").returncode == 0
    (it.site_packages() / "astor/__init__.py").write_text("EDITION = 'edited'\n")  # the unpacked copy is the same file
    done = it.install("one", "--mirror", "http://127.0.0.1:9/simple")
    assert done.returncode == 12, done.stderr
    assert it.edition()[1] == "edited"
    done = it.install("one", "--mirror", str(it.root / "wheels-one"), "--no-keep-wheels")
    assert done.returncode == 0, done.stderr
    assert "==> fetching astor-0.8.1-py3-none-any.whl again: it was not kept" in done.stderr
    assert it.edition() == ONE
    assert wheel_files(it, "one") == []


def test_an_installation_that_is_there_and_the_setting(it: Provisioning) -> None:
    assert it.install("cpu").returncode == 0
    assert len(wheel_files(it, "cpu")) == 2
    (it.root / "paddle-bootstrap.toml").write_text("keep-wheels = false\n")
    assert it.install("cpu", "--keep-wheels").returncode == 0
    assert len(wheel_files(it, "cpu")) == 2
    assert it.install("cpu").returncode == 0
    assert wheel_files(it, "cpu") == []
    assert it.edition() == CPU


def test_a_failed_installation_keeps_them(it: Provisioning) -> None:
    lock = it.lock("one")
    wrong = "f" * 64
    lock.write_text(lock.read_text().replace(it.sets["one"][1].sha256, wrong))
    place = it.store.path(wrong, "astor-0.8.1-py3-none-any.whl")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"no wheel".ljust(it.sets["one"][1].path.stat().st_size))
    assert it.install("one", "--no-keep-wheels").returncode != 0
    assert len(wheel_files(it, "one")) == 4


def test_fetch_always_keeps(it: Provisioning) -> None:
    assert it.install("one", "--no-keep-wheels").returncode == 0
    (it.root / "paddle-bootstrap.toml").write_text("keep-wheels = false\n")
    words = ["fetch", "--lock", str(it.lock("one")), "--store", str(it.store.root), "--python", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", "paddle_bootstrap", *words, "--mirror", str(it.root / "wheels-one")],
        capture_output=True,
        text=True,
        check=False,
        cwd=it.root,
        env={**os.environ, "HOME": str(it.root)},
    )
    assert done.returncode == 0, done.stderr
    assert len(wheel_files(it, "one")) == 4
