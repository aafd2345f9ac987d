"""The Python of a new target comes from a mirror of interpreters where the host has none that fits, and only where one is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from tests.fakes.standalone import StandaloneMirror, archive
from tests.fakes.wheels import CPU, Provisioning

BARE = {"HOME": "/nonexistent", "PATH": "/nonexistent"}  # a host with the system's Pythons alone


@pytest.fixture(scope="module")
def python() -> Interpreter:
    """A Python of a version that the system does not have."""
    system = {found.version for found in pythons.find(BARE)}
    other = [found for found in pythons.find(os.environ) if found.version not in system and not found.odd]
    fitting = [found for found in other if found.minor not in ("3.6", "3.7")]
    if not fitting:
        pytest.skip("every Python of this host is the system's")
    return fitting[0]


@pytest.fixture(scope="module")
def data(python: Interpreter) -> bytes:
    return archive(python)


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


@pytest.fixture
def mirror(tmp_path: Path, python: Interpreter, data: bytes) -> Iterator[StandaloneMirror]:
    with StandaloneMirror(tmp_path / "mirror", python.version, data).serving() as serving:
        yield serving


def run(it: Provisioning, mirror: StandaloneMirror, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    places = ["--lock", str(it.lock("cpu")), "--env", str(it.env), "--store", str(it.store.root)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PYENV", "CONDA"))}
    own = {"PATH": BARE["PATH"], "HOME": str(it.root), "XDG_CONFIG_HOME": str(it.root / "config")}
    own["UV_PYTHON_DOWNLOADS_JSON_URL"] = str(mirror.listing)
    return subprocess.run(
        [sys.executable, "-m", "paddle_bootstrap", *words, *places],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **own, **more},
        cwd=it.root,
        timeout=60,
    )


def test_it_is_fetched_once(it: Provisioning, mirror: StandaloneMirror, python: Interpreter) -> None:
    more = {"UV_PYTHON_INSTALL_MIRROR": mirror.url}
    plan = run(it, mirror, "plan", "--python", python.minor, "--json", **more)
    assert plan.returncode == 0, plan.stderr
    told = json.loads(plan.stdout)["plan"]
    assert (told["python"], told["interpreter_from"]) == (python.version, mirror.url)
    assert f"(to be installed, from {mirror.url})" in run(it, mirror, "plan", "--python", python.minor, **more).stdout
    assert (mirror.asked, it.env.exists()) == ([], False)
    done = run(it, mirror, "install", "--python", python.minor, **more)
    assert done.returncode == 0, done.stderr
    assert f"fetching Python {python.version} from {mirror.url}" in done.stderr
    assert it.edition() == CPU
    assert pythons.probe(it.env / "bin/python").version == python.version
    assert told["interpreter"] == str(
        it.root / f".local/share/uv/python/cpython-{python.version}-linux-x86_64-gnu/bin/python{python.minor}"
    )
    assert len(mirror.asked) == 1
    it.env = it.root / "another"
    assert run(it, mirror, "install", "--python", python.version).returncode == 0  # it is one of the host's now
    assert len(mirror.asked) == 1


def test_a_mirror_of_the_settings(it: Provisioning, mirror: StandaloneMirror, python: Interpreter) -> None:
    table = f'[[mirror]]\nname = "corp"\nurl = "{mirror.url}"\nholds = "python"\n'
    (it.root / "paddle-bootstrap.toml").write_text(table)
    done = run(it, mirror, "install", "--python", python.version)
    assert (done.returncode, len(mirror.asked)) == (0, 1), done.stderr
    assert f"fetching Python {python.version} from corp ({mirror.url})" in done.stderr


def test_none_is_fetched_where_no_mirror_is_set(
    it: Provisioning, mirror: StandaloneMirror, python: Interpreter
) -> None:
    done = run(it, mirror, "install", "--python", python.version)
    assert (done.returncode, done.stdout) == (10, "")
    assert f"Python {python.version} was not found on this host" in done.stderr
    assert "no mirror of interpreters is set, so none is downloaded" in done.stderr
    assert "paddle-bootstrap mirror use python-build-standalone" in done.stderr
    assert mirror.asked == []


def test_none_is_fetched_offline(it: Provisioning, mirror: StandaloneMirror, python: Interpreter) -> None:
    more = {"UV_PYTHON_INSTALL_MIRROR": mirror.url, "PADDLE_BOOTSTRAP_PYTHON": python.version}
    done = run(it, mirror, "install", "--offline", **more)
    assert (done.returncode, mirror.asked) == (10, [])
    assert "or give its path to --python" in done.stderr


def test_one_that_nobody_knows(it: Provisioning, mirror: StandaloneMirror) -> None:
    done = run(it, mirror, "install", "--python", "3.99", UV_PYTHON_INSTALL_MIRROR=mirror.url)
    assert (done.returncode, mirror.asked) == (10, [])
    assert "uv knows no Python 3.99 for x86_64" in done.stderr


def test_other_bytes(it: Provisioning, mirror: StandaloneMirror, python: Interpreter) -> None:
    mirror.file.write_bytes(mirror.file.read_bytes()[:-1] + b"x")
    done = run(it, mirror, "install", "--python", python.version, UV_PYTHON_INSTALL_MIRROR=mirror.url)
    assert (done.returncode, done.stdout) == (13, "")
    assert f"  - {mirror.url}: " in done.stderr
    assert "Hash mismatch" in done.stderr
    assert not it.env.exists()
    assert list((it.root / ".local/share/uv/python").glob("cpython-*/bin")) == []


def test_a_mirror_that_lacks_it(it: Provisioning, mirror: StandaloneMirror, python: Interpreter) -> None:
    mirror.file.unlink()
    address = mirror.url.replace("http://", "http://me:pass-word@")
    done = run(it, mirror, "install", "--python", python.version, UV_PYTHON_INSTALL_MIRROR=address)
    assert (done.returncode, done.stdout) == (12, "")
    assert "404" in done.stderr
    assert "pass-word" not in done.stderr
    assert "--python PATH" in done.stderr


def test_another_python_than_promised(it: Provisioning, python: Interpreter, data: bytes) -> None:
    promised = f"{python.minor}.99"
    with StandaloneMirror(it.root / "liar", promised, data).serving() as liar:
        done = run(it, liar, "install", "--python", promised, UV_PYTHON_INSTALL_MIRROR=liar.url)
    assert (done.returncode, it.env.exists()) == (10, False)
    assert f"was to be Python {promised}, but it is cpython {python.version}" in done.stderr
