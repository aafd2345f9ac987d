"""The last state of a target is kept, and ``rollback`` exchanges it with the target, as often as one likes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from paddle_bootstrap.install import kept
from tests.fakes.wheels import CPU, ONE, TWO, Provisioning, build, digests, untrue_rows


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def rollback(it: Provisioning) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", "rollback", "--env", str(it.env)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def created(it: Provisioning) -> str:
    told: str = json.loads((it.env / ".paddle-bootstrap/receipt.json").read_text())["created"]
    return told


def test_back_and_forward(it: Provisioning) -> None:
    it.install("one")
    first, when = digests(it.env), created(it)
    assert it.install("two").returncode == 0
    done = rollback(it)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{it.env} is back at one, installed {when}"
    assert "to go forward to two, installed 20" in done.stdout
    assert (it.edition(), untrue_rows(it.site_packages()), it.beside()) == (ONE, [], set())
    pointer = ".paddle-bootstrap/kept"
    assert {name: told for name, told in digests(it.env).items() if name != pointer} == first
    assert subprocess.run([it.env / "bin/astor"], capture_output=True, text=True, check=True).stdout == "astor one\n"
    assert "nothing to do" in it.install("one").stdout
    assert rollback(it).returncode == 0
    assert (it.edition(), it.beside()) == (TWO, set())


def test_one_state_is_kept_the_last(it: Provisioning) -> None:
    for lock in ("one", "two", "cpu"):
        assert it.install(lock).returncode == 0
    assert len(list(it.root.glob(".env.paddle-bootstrap-*"))) == 1
    assert rollback(it).returncode == 0
    assert it.edition() == TWO
    assert it.install("cpu").returncode == 0  # a change like any other: what it replaced is what is kept
    assert rollback(it).returncode == 0
    assert it.edition() == TWO


def test_it_costs_links(it: Provisioning) -> None:
    """What both states hold is there once."""
    it.install("one")
    it.install("two")
    last = kept.read(it.env)
    assert last
    same = "lib/python3.*/site-packages/nvidia/cublas/lib/libcublas.so.11"
    assert next(last.glob(same)).samefile(next(it.env.glob(same)))


def test_a_repair_keeps_no_damage(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    (it.site_packages() / "paddle/nn/deep.py").unlink()
    assert "now holds two" in it.install("two").stdout
    assert rollback(it).returncode == 0
    assert it.edition() == ONE


def test_nothing_is_kept(it: Provisioning) -> None:
    """By flag, environment or setting; what was kept before goes too, since it is not the last state."""
    it.install("one")
    it.install("two")
    assert it.install("cpu", "--no-keep").returncode == 0
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []
    done = rollback(it)
    assert (done.returncode, done.stdout) == (14, "")
    assert f"error: no earlier state of the target {it.env} is kept" in done.stderr
    assert it.edition() == CPU
    assert it.install("one", environ={"PADDLE_BOOTSTRAP_KEEP": "0"}).returncode == 0
    (it.root / "paddle-bootstrap.toml").write_text("keep = false\n")
    assert it.install("two").returncode == 0
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []


def test_a_kept_state_goes_when_it_is_unwanted(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    assert "nothing to do" in it.install("two", "--no-keep").stdout
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []


def test_a_target_made_anew_has_no_past(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    shutil.rmtree(it.env)
    done = rollback(it)
    assert (done.returncode, f"error: there is no target {it.env}" in done.stderr) == (14, True)
    assert it.install("one").returncode == 0
    assert list(it.root.glob(".env.paddle-bootstrap-*")) == []


def test_back_to_an_environment_of_the_users(it: Provisioning) -> None:
    subprocess.run([find_uv_bin(), "venv", "-q", "--python", sys.executable, it.env], check=True)
    (it.env / "notes").write_text("mine")
    assert it.install("one").returncode == 0
    extra = build(it.root / "keep", "keepme", "1", {"keepme.py": ""})
    python = it.env / "bin/python"
    subprocess.run(
        [find_uv_bin(), "pip", "install", "-q", "--offline", "--no-deps", "--python", python, extra.path], check=True
    )
    done = rollback(it)
    assert done.returncode == 0, done.stderr
    assert f"{it.env} is back at what it was before paddle-bootstrap" in done.stdout
    assert "not in that state, since they came later: keepme" in done.stderr
    assert [path.name for path in it.site_packages().glob("*.dist-info")] == []
    assert (it.env / "notes").read_text() == "mine"
    assert rollback(it).returncode == 0
    assert it.edition() == ONE
    assert (it.site_packages() / "keepme.py").exists()


def no_interpreter(last: Path) -> str:
    (last / "bin/python").unlink()
    (last / "bin/python").symlink_to("/nowhere/python3")
    return "bin/python cannot be run"


def another_python(last: Path) -> str:
    libraries = next(last.glob("lib/python3.*"))
    libraries.rename(libraries.with_name("python3.7"))
    return "its interpreter is Python 3"


def a_lost_file(last: Path) -> str:
    next(last.glob("lib/python3.*/site-packages/astor/__init__.py")).unlink()
    return "astor lacks astor/__init__.py"


def a_lost_library(last: Path) -> str:
    path = last / ".paddle-bootstrap/receipt.json"
    told = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**told, "libraries": {"libcudnn.so": "/nowhere/libcudnn.so.8"}}))
    return "a CUDA library of this host that it uses is gone: /nowhere/libcudnn.so.8"


def test_what_fits_no_longer_is_refused(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    last = kept.read(it.env)
    assert last
    shutil.copytree(last, it.root / "good", symlinks=True)
    for spoil in (no_interpreter, another_python, a_lost_file, a_lost_library):
        why = spoil(last)
        done = rollback(it)
        assert done.returncode == 14, done.stderr
        assert f"the kept state of {it.env} fits no longer: " in done.stderr
        assert why in done.stderr
        assert f"rm -r {last}" in done.stderr
        assert (it.edition(), kept.read(it.env)) == (TWO, last)
        shutil.rmtree(last)
        shutil.copytree(it.root / "good", last, symlinks=True)
    assert rollback(it).returncode == 0


def test_a_broken_target_is_mended_by_it(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    (it.env / "bin/python").unlink()
    assert rollback(it).returncode == 0
    assert it.edition() == ONE
