"""Where each byte came from: written into the receipt by the run that fetched it, told by the bill of materials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.mirror import FakeMirror
from tests.fakes.wheels import Provisioning


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def sbom(it: Provisioning) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "paddle_bootstrap", "sbom", "--env", str(it.env)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=it.root)
    return {
        part["name"]: [each["value"] for each in part["properties"] if each["name"].endswith(":mirror")]
        for part in json.loads(done.stdout)["components"]
    }


def test_mirrors_are_told_and_their_passwords_are_not(it: Provisioning) -> None:
    files = {wheel.path.name: wheel.path.read_bytes() for wheel in it.sets["one"]}
    with FakeMirror(files, login=("me", "secret")) as mirror:
        address = mirror.url.replace("://", "://me:secret@")
        done = it.install("one", "--store", str(it.root / "fresh"), "--mirror", address)
    assert done.returncode == 0, done.stderr
    told = sbom(it)
    assert sorted(told) == ["astor", "nvidia-cublas-cu11", "nvidia-cudnn-cu11", "paddlepaddle-gpu"]
    assert {tuple(names) for names in told.values()} == {(mirror.url,)}
    text = "".join(path.read_text() for path in (it.env / ".paddle-bootstrap").iterdir())
    assert "secret" not in text
    (it.site_packages() / "astor/__init__.py").unlink()
    assert it.install("one").returncode == 0  # a repair, which fetches nothing: who brought the bytes is still known
    assert sbom(it) == told


def test_what_was_in_the_store_came_from_nobody(it: Provisioning) -> None:
    assert it.install("one").returncode == 0
    assert set(map(tuple, sbom(it).values())) == {()}
