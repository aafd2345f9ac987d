"""Targets of every Python that is on this host, and of the strange ones; each works or says why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from tests.fakes.wheels import CPU, Provisioning

OLDEST = (3, 8)  # the worker that runs checks in the target
BARE = {"HOME": "/nonexistent", "PATH": "/nonexistent"}  # finds the system's Pythons alone


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def test_every_python_of_this_host(it: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    """Each gets the same tiny lock, by its own path; those too old for it say so."""
    found = pythons.find(os.environ)
    with capsys.disabled():
        sys.stdout.write(f"\ntargets of {', '.join(f'{each.version} ({each.path})' for each in found)} ")
    assert it.install("cpu").returncode == 0  # the wheels are unpacked from here on
    with ThreadPoolExecutor(2) as threads:
        problems = list(threads.map(lambda python: problem(it, python), found))
    assert [told for told in problems if told] == []
    assert len([python for python in found if not python.odd]) >= 1


def problem(it: Provisioning, python: Interpreter) -> str:
    env = it.root / f"env-{python.version}-{len(python.path)}"
    done = it.install("cpu", "--python", python.path, env=env)
    old = tuple(map(int, python.minor.split("."))) < OLDEST
    if old or python.odd == "not CPython":
        return "" if done.returncode == 10 and python.version in done.stderr else f"{python.path}: {done.stderr}"
    if done.returncode != 0:
        return f"{python.path}: {done.stderr}"
    made = pythons.probe(env / "bin/python")
    right = (it.edition(env), made.version, made.prefix) == (CPU, python.version, str(env))
    again = it.install("cpu", "--python", python.minor, env=env)
    return "" if right and "nothing to do" in again.stdout else f"{python.path}: {again.stdout}{again.stderr}"


def test_the_systems_python_without_ensurepip_and_externally_managed(it: Provisioning) -> None:
    """As Debian's, whose own `python3 -m venv` fails and whose pip refuses: uv needs neither."""
    system = next(iter(pythons.find(BARE)), None)
    if system is None:
        pytest.skip("this host has no Python of the system")
    library = it.root / "prefix/lib" / f"python{system.minor}"
    library.parent.mkdir(parents=True)
    shutil.copytree(
        Path(system.base_prefix, "lib", f"python{system.minor}"),
        library,
        symlinks=True,
        ignore=shutil.ignore_patterns("ensurepip", "test", "__pycache__", "dist-packages", "site-packages", "config-*"),
    )
    (library / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=apt-get install\n")
    (library / "site-packages").mkdir(exist_ok=True)
    program = it.root / "prefix/bin" / f"python{system.minor}"
    program.parent.mkdir()
    shutil.copy2(os.path.realpath(system.path), program)
    plain = subprocess.run([program, "-m", "venv", it.root / "plain"], capture_output=True, text=True, check=False)
    assert "ensurepip" in plain.stdout + plain.stderr
    assert plain.returncode != 0
    done = it.install("cpu", "--python", str(program))
    assert done.returncode == 0, done.stderr
    assert (it.edition(), pythons.probe(it.env / "bin/python").base_prefix) == (CPU, str(it.root / "prefix"))


def test_a_python_itself_is_no_target(it: Provisioning) -> None:
    """/usr, or what uv or pyenv installed: it belongs to whoever manages it."""
    (it.env / "lib/python3.11").mkdir(parents=True)
    (it.env / "lib/python3.11/os.py").write_text("")
    done = it.install("cpu")
    assert done.returncode == 14
    assert "is a Python itself, not an environment of one" in done.stderr
    assert f"--python {it.env}" in done.stderr


@pytest.mark.parametrize("verb", ["install", "verify"])
def test_one_whose_python_is_broken(it: Provisioning, verb: str) -> None:
    (it.env / "bin").mkdir(parents=True)
    (it.env / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (it.env / "bin/python").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (it.env / "bin/python").chmod(0o755)
    verify = [sys.executable, "-m", "paddle_bootstrap", "verify", "--env", str(it.env), "--device", "cpu"]
    command = verify if verb == "verify" else it.command("cpu")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=it.root)
    assert done.returncode == 14
    assert f"is a broken environment: {it.env}/bin/python is not a usable Python: exit code -11" in done.stderr


def test_one_that_a_process_uses(it: Provisioning) -> None:
    """It goes on with what it has; whoever changes the target is told."""
    assert it.install("one").returncode == 0
    code = "import paddle, sys; print(paddle.EDITION, flush=True); sys.stdin.read(); import astor; print(astor.EDITION)"
    command = [it.env / "bin/python", "-I", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "one\n"
        done = it.install("two")
        assert done.returncode == 0, done.stderr
        assert f"{it.env} is in use by process {process.pid} (python" in done.stderr
        assert process.communicate(timeout=10)[0] == "two\n"  # what it imports later comes from the new state
    assert "is in use" not in it.install("one").stderr


def test_a_symlinked_target(it: Provisioning) -> None:
    """What the link leads to is swapped; the link stays."""
    real = it.root / "disk/env"
    real.parent.mkdir()
    assert it.install("one", env=real).returncode == 0
    link = it.root / "link"
    link.symlink_to(real)
    done = it.install("cpu", env=link)
    assert done.returncode == 0, done.stderr
    assert (link.is_symlink(), it.edition(link), it.edition(real)) == (True, CPU, CPU)
    assert pythons.probe(link / "bin/python").version == ".".join(map(str, sys.version_info[:3]))


def test_the_clock_is_at_1970(it: Provisioning) -> None:
    """A board without a battery: what is offline works all the same."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs faketime")
    for lock in ("one", "cpu"):
        command = [faketime, "1970-01-02 00:00:00", *it.command(lock, "--python", sys.executable)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=it.root)
        assert done.returncode == 0, done.stderr
    assert it.edition() == CPU
    assert '"created": "1970-01-0' in (it.env / ".paddle-bootstrap/receipt.json").read_text()
    assert "nothing to do" in it.install("cpu").stdout
