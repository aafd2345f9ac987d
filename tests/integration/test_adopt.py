"""``adopt``: an environment that pip, uv or conda made is held against a lock, and signed when every file is the lock's."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from paddle_bootstrap.host import pythons
from tests.fakes.standalone import archive
from tests.fakes.wheels import CPU, ONE, TWO, FakeWheel, Provisioning, build, untrue_rows, write_lock


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def by_hand(it: Provisioning, lock: str, *, leave_out: tuple[str, ...] = ()) -> None:
    """What uv makes of the lock's wheels, without us."""
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, it.env], check=True)
    put(it, [wheel for wheel in it.sets[lock] if wheel.name not in leave_out])


def put(it: Provisioning, wheels: list[FakeWheel]) -> None:
    files = [str(wheel.path) for wheel in wheels]
    python = str(it.env / "bin/python")
    options = [
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-cache",
        "--link-mode=copy",
        "--reinstall",
        "--python",
        python,
    ]
    subprocess.run([find_uv_bin(), "pip", "install", *options, *files], check=True)


def run(it: Provisioning, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", verb, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=it.root, timeout=60)


def adopt(it: Provisioning, lock: str, *more: str) -> subprocess.CompletedProcess[str]:
    return run(it, "adopt", str(it.env), "--lock", str(it.lock(lock)), "--store", str(it.store.root), *more)


def state(it: Provisioning) -> dict[str, tuple[str, int, int]]:
    """Everything in the environment but our own folder; bytecode that Python wrote as it ran is not looked at."""
    found = {}
    for path in sorted(it.env.rglob("*")):
        name = str(path.relative_to(it.env))
        if path.is_file() and ".paddle-bootstrap" not in name and not name.endswith(".pyc"):
            told = path.lstat()
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest(), told.st_ino, told.st_mtime_ns
    return found


def test_one_that_matches(it: Provisioning) -> None:
    by_hand(it, "cpu")
    before = state(it)
    done = adopt(it, "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        f"{it.env} is adopted: it holds cpu",
        f"to judge it:  paddle-bootstrap verify --env {it.env}",
    ]
    assert state(it) == before
    assert sorted(path.name for path in (it.env / ".paddle-bootstrap").iterdir()) == [
        "files.sha256",
        "pylock.cpu.toml",
        "receipt.json",
    ]
    told = json.loads((it.env / ".paddle-bootstrap/receipt.json").read_text())
    assert (told["lock_name"], told["made"], told["found"]) == ("cpu", False, ["astor", "paddlepaddle"])
    check = subprocess.run(["sha256sum", "-c", "--quiet", ".paddle-bootstrap/files.sha256"], cwd=it.env, check=False)
    assert check.returncode == 0
    assert adopt(it, "cpu").stdout.startswith(f"{it.env}: nothing to do, it holds cpu\n")


def test_afterwards_it_is_like_our_own(it: Provisioning) -> None:
    """install has nothing to do, verify's install checks pass, another lock changes it and rollback takes that back."""
    by_hand(it, "cpu")
    assert adopt(it, "cpu").returncode == 0
    assert it.install("cpu").stdout == f"{it.env}: nothing to do, cpu is installed\n"
    judged = run(it, "verify", "--env", str(it.env), "-k", "install.packages or install.files", "--results", "r.json")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert it.install("one").returncode == 0
    assert it.edition() == ONE
    assert run(it, "rollback", "--env", str(it.env)).returncode == 0
    assert (it.edition(), untrue_rows(it.site_packages())) == (CPU, [])
    assert it.install("cpu").stdout == f"{it.env}: nothing to do, cpu is installed\n"


def test_what_was_there_before_stays_when_it_is_uninstalled(it: Provisioning) -> None:
    by_hand(it, "cpu")
    assert adopt(it, "cpu").returncode == 0
    done = run(it, "uninstall", "--env", str(it.env))
    assert done.returncode == 0, done.stderr
    assert it.edition() == CPU
    assert not (it.env / ".paddle-bootstrap/receipt.json").exists()


def test_one_that_pip_made(it: Provisioning) -> None:
    """The real pip compiles, writes its own RECORD and scripts."""
    subprocess.run([sys.executable, "-m", "venv", it.env], check=True)
    files = [str(wheel.path) for wheel in it.sets["two"]]
    command = [it.env / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", *files]
    subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    done = adopt(it, "two")
    assert done.returncode == 1
    assert (
        "  paddle/libs lacks links to CUDA libraries: libcublas.so, libcublas.so.11, libcublasLt.so, and 4 more"
        in done.stdout
    )
    for line in [line.strip() for line in done.stdout.splitlines() if " install --env " in line]:
        mend = [sys.executable, "-m", *line.replace("paddle-bootstrap", "paddle_bootstrap", 1).split()]
        subprocess.run([*mend, "--store", str(it.store.root)], check=True, capture_output=True)
    assert it.edition() == TWO
    shutil.rmtree(it.env / ".paddle-bootstrap")  # with the links it matches, whoever made them
    assert adopt(it, "two").returncode == 0
    assert len(json.loads((it.env / ".paddle-bootstrap/receipt.json").read_text())["links"]) == 7


def test_what_differs_is_told_before_anything_is_fetched(it: Provisioning) -> None:
    by_hand(it, "cpu", leave_out=("astor",))
    put(it, [build(it.root / "old", "paddlepaddle", "3.0.0", {"paddle/__init__.py": "", "paddle/old.py": ""})])
    shutil.rmtree(it.store.root)
    before = state(it)
    done = adopt(it, "cpu")
    assert (done.returncode, it.store.root.exists()) == (1, False), done.stderr
    assert done.stdout.splitlines() == [
        f"not adopted: {it.env} differs from cpu",
        "  paddlepaddle is 3.0.0, the lock has 3.3.1",
        "  astor is missing, the lock has 0.9.0",
        "to mend it by hand, then adopt it again:",
        f"  uv pip install --python {it.env}/bin/python --no-deps --reinstall paddlepaddle==3.3.1 astor==0.9.0",
        "or in one step, which `paddle-bootstrap rollback` takes back:",
        f"  paddle-bootstrap install --env {it.env} --lock {it.lock('cpu')}",
    ]
    assert state(it) == before
    assert not (it.env / ".paddle-bootstrap").exists()


def test_the_same_size_is_not_the_same_file(it: Provisioning) -> None:
    by_hand(it, "cpu")
    path = it.site_packages() / "astor/__init__.py"
    path.write_text(path.read_text().replace("cpu", "CPU"))
    done = adopt(it, "cpu")
    assert done.returncode == 1
    inside = path.relative_to(it.env)
    assert f"  astor holds other files than astor-0.9.0-py3-none-any.whl: {inside}\n" in done.stdout
    assert not (it.env / ".paddle-bootstrap").exists()
    put(it, [wheel for wheel in it.sets["cpu"] if wheel.name == "astor"])  # as it says
    assert adopt(it, "cpu").returncode == 0


def test_a_second_paddle(it: Provisioning) -> None:
    by_hand(it, "cpu")
    put(it, [it.sets["one"][0]])
    put(it, [it.sets["cpu"][0]])
    done = adopt(it, "cpu")
    assert done.returncode == 1
    assert "  paddlepaddle-gpu shares the folder paddle/ with the lock's Paddle" in done.stdout
    assert f"  uv pip uninstall --python {it.env}/bin/python paddlepaddle-gpu\n" in done.stdout


def test_the_lock_is_that_of_the_paddle_that_is_there(it: Provisioning) -> None:
    """The shipped lock of this version, without being named; everything else of it is missing here."""
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, it.env], check=True)
    put(it, [it.sets["cpu"][0]])
    done = run(it, "adopt", str(it.env), "--store", str(it.store.root))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"not adopted: {it.env} differs from cpu-3_3_1\n")
    assert "  numpy is missing, the lock has " in done.stdout
    assert done.stdout.endswith(f"install --env {it.env} --lock cpu-3_3_1\n")
    put(it, [build(it.root / "none", "paddlepaddle", "0.1", {"paddle/__init__.py": ""})])
    done = run(it, "adopt", str(it.env), "--store", str(it.store.root))
    assert (done.returncode, "no shipped lock holds Paddle 0.1 for cpu" in done.stderr) == (10, True)


def test_offline_it_needs_the_wheels(it: Provisioning) -> None:
    """A receipt says what every file is, and only the wheels know."""
    by_hand(it, "cpu")
    it.store.root.rename(it.root / "store-of-another-host")
    done = adopt(it, "cpu", "--offline")
    assert (done.returncode, done.stdout) == (12, "")
    assert "--offline: 2 wheels are not in the store" in done.stderr
    assert not (it.env / ".paddle-bootstrap").exists()
    done = adopt(it, "cpu", "--mirror", str(it.root / "wheels-cpu"))
    assert done.returncode == 0, done.stderr


def test_the_projects_lock_comes_before_it(it: Provisioning) -> None:
    by_hand(it, "one")
    (it.root / "pylock.paddle.toml").write_bytes(it.lock("cpu").read_bytes().replace(b'"cpu"', b'"paddle"', 1))
    done = run(it, "adopt", str(it.env), "--store", str(it.store.root))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"not adopted: {it.env} differs from paddle\n")
    assert "  paddlepaddle is missing, the lock has 3.3.1\n" in done.stdout


@pytest.fixture
def conda(it: Provisioning) -> Provisioning:
    """What conda leaves: a prefix with a Python of its own and conda's book."""
    base = next((found for found in pythons.find(os.environ) if found.path == os.path.realpath(found.path)), None)
    python = pythons.probe(sys.executable) if base is None else base
    with tarfile.open(fileobj=io.BytesIO(archive(python))) as tar:
        tar.extractall(it.root, filter="fully_trusted")
    (it.root / "python").rename(it.env)
    (it.env / "conda-meta").mkdir()
    (it.env / "conda-meta/history").write_text("==> 2026-01-01 00:00:00 <==\n")
    (it.env / f"lib/python{python.minor}/site-packages").mkdir()
    return it


def test_a_conda_environment(conda: Provisioning) -> None:
    """It can be adopted and judged; changing it is left to whoever made it."""
    it = conda
    refused = it.install("cpu", "--python", str(it.env / "bin/python"))
    assert (refused.returncode, "is a conda environment: conda would no longer know" in refused.stderr) == (14, True)
    assert f"paddle-bootstrap adopt {it.env}" in refused.stderr
    put(it, list(it.sets["cpu"]))
    before = state(it)
    assert pythons.probe(it.env / "bin/python").conda
    done = adopt(it, "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(it) == before
    assert (
        it.install("cpu", "--python", str(it.env / "bin/python")).stdout
        == f"{it.env}: nothing to do, cpu is installed\n"
    )
    for more in ((), ("--in-place",)):
        refused = it.install("one", "--python", str(it.env / "bin/python"), *more)
        assert (refused.returncode, "is a conda environment" in refused.stderr) == (14, True)
    shutil.rmtree(it.site_packages() / "astor")
    done = adopt(it, "cpu")
    assert done.returncode == 1
    assert (
        f"  paddle-bootstrap install --env NEW-DIR --python {it.env}/bin/python --lock {it.lock('cpu')}\n"
        in done.stdout
    )
    new = it.root / "new"
    assert it.install("cpu", "--python", str(it.env / "bin/python"), env=new).returncode == 0  # that works
    assert it.edition(new) == CPU


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_adopts_what_is_a_users(it: Provisioning) -> None:
    by_hand(it, "cpu")
    for path in (it.env, *it.env.rglob("*")):
        os.lchown(path, 65534, 65534)
    assert adopt(it, "cpu").returncode == 0
    assert {path.lstat().st_uid for path in it.env.rglob("*")} == {65534}


def test_what_cannot_be_adopted(it: Provisioning, tmp_path: Path) -> None:
    cases = {
        tmp_path / "nowhere": "there is no environment",
        tmp_path: "the store",
        Path("/usr"): "is a Python itself",
        Path(sys.prefix): "is where paddle-bootstrap itself lives",
    }
    for place, says in cases.items():
        it.env = place
        done = adopt(it, "cpu")
        assert (done.returncode, says in done.stderr, "next:  " in done.stderr) == (14, True, True), done.stderr
    write_lock(it.lock("cpu"), it.sets["cpu"])
    assert not (tmp_path / "nowhere").exists()


def test_one_without_paddle(it: Provisioning) -> None:
    """What it should hold is not guessed."""
    by_hand(it, "cpu", leave_out=("paddlepaddle",))
    done = run(it, "adopt", str(it.env), "--store", str(it.store.root))
    assert done.returncode == 2, done.stdout
    assert f"{it.env} holds no Paddle" in done.stderr
    assert "name one: --lock NAME" in done.stderr
