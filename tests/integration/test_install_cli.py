"""``paddle-bootstrap install`` on tiny real wheels, offline, through the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from paddle_bootstrap.install import kept
from tests.fakes.wheels import CPU, ONE, TWO, Provisioning, build, digests, library, untrue_rows, write_lock


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def uv(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([find_uv_bin(), *words], capture_output=True, text=True, check=True)


def test_a_new_target(it: Provisioning) -> None:
    done = it.install("one")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "installed paddlepaddle-gpu 2.6.2",
        "linked the CUDA libraries of NVIDIA's wheels into paddle/libs (7 links)",
        f"{it.env} now holds one",
        f"to use it:  source {it.env}/bin/activate",
    ]
    assert it.edition() == ONE
    assert untrue_rows(it.site_packages()) == []
    assert it.beside() == set()
    told = json.loads((it.env / ".paddle-bootstrap/receipt.json").read_text())
    assert (told["lock_name"], told["cuda_runtime"], told["groups"]) == ("one", "wheels", ["cuda"])
    assert [row["sha256"] for row in told["wheels"]] == [wheel.sha256 for wheel in it.sets["one"]]
    assert len(told["links"]) == 7
    assert all((it.env / link).readlink().parts[0] == ".." for link in told["links"])
    assert (it.env / ".paddle-bootstrap/pylock.one.toml").read_bytes() == it.lock("one").read_bytes()


def test_nothing_speaks_of_the_clone(it: Provisioning) -> None:
    """Shebangs, activation, bytecode: a traceback names the target's files."""
    assert it.install("one").returncode == 0
    assert it.install("two").returncode == 0
    texts = [path for path in it.env.rglob("*") if path.is_file() and b"env.paddle-bootstrap-" in path.read_bytes()]
    assert texts == []
    assert subprocess.run([it.env / "bin/astor"], capture_output=True, text=True, check=True).stdout == "astor two\n"
    compiled = sorted(path.name for path in it.site_packages().rglob("*.pyc"))
    assert [name.split(".")[0] for name in compiled] == ["__init__", "__init__", "__init__", "deep"]
    code = "import paddle.nn.deep as deep; deep.fail()"
    told = subprocess.run([it.env / "bin/python", "-B", "-c", code], capture_output=True, text=True, check=False).stderr
    assert f'File "{it.site_packages()}/paddle/nn/deep.py", line 2, in fail\n    raise RuntimeError' in told


def test_the_second_run_has_nothing_to_do(it: Provisioning) -> None:
    it.install("one")
    before = digests(it.env)
    done = it.install("one")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{it.env}: nothing to do, one is installed\n"
    assert digests(it.env) == before


def damage_deleted(it: Provisioning) -> None:
    (it.site_packages() / "paddle/nn/deep.py").unlink()


def damage_truncated(it: Provisioning) -> None:
    os.truncate(it.site_packages() / "astor/__init__.py", 3)  # the unpacked copy in the store is the same file


def damage_script(it: Provisioning) -> None:
    (it.env / "bin/astor").unlink()


def damage_package(it: Provisioning) -> None:
    uv("pip", "uninstall", "--python", it.env / "bin/python", "astor")


def damage_link(it: Provisioning) -> None:
    (it.site_packages() / "paddle/libs/libcudnn.so").unlink()


def damage_library(it: Provisioning) -> None:
    (it.site_packages() / "nvidia/cudnn/lib/libcudnn.so.8").unlink()


def damage_version(it: Provisioning) -> None:
    uv("pip", "install", "--offline", "--no-deps", "--python", it.env / "bin/python", it.sets["cpu"][1].path)


def damage_metadata(it: Provisioning) -> None:
    next(it.site_packages().glob("paddlepaddle_gpu-*/RECORD")).unlink()


DAMAGE = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_target_is_repaired(it: Provisioning, damage: Callable[[Provisioning], None]) -> None:
    it.install("one")
    damage(it)
    done = it.install("one")
    assert done.returncode == 0, done.stderr
    assert "now holds one" in done.stdout
    assert ("==> repairing " in done.stderr) == (damage is not damage_link), done.stderr
    assert it.edition() == ONE
    assert untrue_rows(it.site_packages()) == []
    assert "nothing to do" in it.install("one").stdout


def test_another_lock_with_the_same_versions(it: Provisioning) -> None:
    """Names and versions say little: one file name stands for many builds."""
    it.install("one")
    done = it.install("two")
    assert done.returncode == 0, done.stderr
    assert it.edition() == TWO
    assert untrue_rows(it.site_packages()) == []


def test_other_packages_survive_and_ours_go(it: Provisioning) -> None:
    it.install("one")
    keep = build(it.root / "keep", "keepme", "1", {"keepme.py": ""})
    uv("pip", "install", "--offline", "--no-deps", "--python", it.env / "bin/python", keep.path)
    (it.env / "notes.txt").write_text("mine")
    done = it.install("cpu")
    assert done.returncode == 0, done.stderr
    assert "paddlepaddle-gpu shares the folder paddle/ with paddlepaddle" in done.stderr
    assert it.edition() == CPU
    assert sorted(path.name for path in it.site_packages().glob("*.dist-info")) == [
        "astor-0.9.0.dist-info",
        "keepme-1.dist-info",
        "paddlepaddle-3.3.1.dist-info",
    ]
    assert (it.env / "notes.txt").read_text() == "mine"
    assert not (it.site_packages() / "nvidia").exists()
    assert not (it.site_packages() / "paddle/libs").exists()


def test_what_stood_there_before_us_stays(it: Provisioning) -> None:
    """A later lock that lacks a package takes it out only if we brought it."""
    uv("venv", "--python", sys.executable, it.env)
    uv("pip", "install", "--offline", "--no-deps", "--python", it.env / "bin/python", it.sets["one"][1].path)
    it.install("one")
    write_lock(it.lock("cpu"), it.sets["cpu"][:1])
    assert it.install("cpu").returncode == 0
    assert (it.site_packages() / "astor-0.8.1.dist-info").exists()


def test_both_paddles_are_made_one(it: Provisioning) -> None:
    it.install("one")
    uv("pip", "install", "--offline", "--no-deps", "--python", it.env / "bin/python", it.sets["cpu"][0].path)
    assert it.edition()[0] == "cpu"
    done = it.install("one")
    assert done.returncode == 0, done.stderr
    assert "paddlepaddle shares the folder paddle/ with paddlepaddle-gpu: it is taken out" in done.stderr
    assert it.edition() == ONE
    assert not (it.site_packages() / "paddle/only_cpu.py").exists()
    assert untrue_rows(it.site_packages()) == []


def test_uninstalling_leaves_nothing(it: Provisioning) -> None:
    it.install("one")
    uv("pip", "check", "--python", it.env / "bin/python")
    uv("pip", "uninstall", "--python", it.env / "bin/python", "paddlepaddle-gpu")
    assert not (it.site_packages() / "paddle").exists()
    assert (it.site_packages() / "nvidia/cudnn/lib/libcudnn.so.8").exists()


def test_the_users_settings_are_kept_out(it: Provisioning) -> None:
    """Each of these changes or breaks uv, pip or Python when it reaches them."""
    evil = it.root / "evil"
    evil.mkdir()
    (evil / "compileall.py").write_text("raise SystemExit('evil')\n")
    for folder in (it.root / ".config/uv", it.root / ".config/pip"):
        folder.mkdir(parents=True)
    (it.root / ".config/uv/uv.toml").write_text('link-mode = "symlink"\n[pip]\nno-binary = [":all:"]\n')
    (it.root / "uv.toml").write_text('link-mode = "symlink"\n[pip]\ntarget = "elsewhere"\n')
    (it.root / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n[tool.uv]\nlink-mode = "symlink"\n')
    (it.root / ".config/pip/pip.conf").write_text("[global]\nrequire-hashes = true\n[install]\ntarget = /elsewhere\n")
    (it.root / ".python-version").write_text("3.6\n")
    hostile = {
        "UV_LINK_MODE": "symlink",
        "UV_NO_BINARY": "1",
        "UV_PYTHON": "/nowhere/python",
        "UV_CACHE_DIR": str(evil / "cache"),
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "PIP_TARGET": str(evil / "target"),
        "PIP_NO_BINARY": ":all:",
        "PYTHONPATH": os.pathsep.join([str(evil), os.environ.get("PYTHONPATH", "")]),
        "PYTHONPYCACHEPREFIX": str(evil / "pyc"),
        "PYTHONOPTIMIZE": "2",
        "SOURCE_DATE_EPOCH": "1",
        "VIRTUAL_ENV": str(evil),
        "CONDA_PREFIX": str(evil),
    }
    done = it.install("one", environ=hostile)
    assert done.returncode == 0, done.stderr
    assert it.edition() == ONE
    assert sorted(path.name for path in evil.rglob("*") if path.suffix != ".pyc" and path.is_file()) == [
        "compileall.py"
    ]
    links = [path for path in it.site_packages().rglob("*") if path.is_symlink() and path.parent.name != "libs"]
    assert links == []
    (compiled,) = it.site_packages().glob("paddle/__pycache__/*.pyc")
    assert re.fullmatch(r"__init__\.cpython-3\d+\.pyc", compiled.name)
    assert compiled.read_bytes()[4:8] == bytes(4)  # by time stamp, as Python does


def test_the_stores_copies_and_other_targets_are_never_changed(it: Provisioning) -> None:
    other = it.root / "other"
    it.install("one", env=other)
    wheels, unpacked = it.store.root / "wheels", it.store.root / "unpacked"
    before = digests(wheels), digests(unpacked), digests(other)
    it.install("one")
    assert (digests(wheels), digests(unpacked), digests(other)) == before, "unpacked twice, or changed"
    linked = it.site_packages() / "paddle/__init__.py"
    assert linked.stat().st_ino == (it.site_packages(other) / "paddle/__init__.py").stat().st_ino
    it.install("two")
    it.install("cpu")
    after = digests(unpacked)
    assert {name: after[name] for name in before[1]} == before[1]
    assert (digests(wheels), digests(other)) == (before[0], before[2])
    assert it.edition(other) == ONE


@pytest.mark.parametrize("name", ["with space", "it's $HOME", "[a]*", "ünïcode"])
def test_names_that_shells_dislike(it: Provisioning, name: str) -> None:
    env = it.root / name
    for lock in ("one", "two"):
        done = it.install(lock, env=env)
        assert done.returncode == 0, done.stderr
    assert f"source {shlex.quote(str(env))}/bin/activate" in done.stdout.replace("/bin/activate'", "'/bin/activate")
    assert subprocess.run([env / "bin/astor"], capture_output=True, text=True, check=True).stdout == "astor two\n"
    script = f'. {shlex.quote(str(env / "bin/activate"))} && astor && echo "$VIRTUAL_ENV"'
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == f"astor two\n{env}\n"
    assert untrue_rows(it.site_packages(env)) == []


def test_a_link_to_the_target(it: Provisioning) -> None:
    """What it leads to is swapped; the link stays a link."""
    real = it.root / "disk" / "real"
    real.mkdir(parents=True)
    it.env.symlink_to("disk/real")
    for lock in ("one", "two"):
        assert it.install(lock).returncode == 0
    assert it.env.readlink() == Path("disk/real")
    assert it.edition(real) == TWO
    assert [path for path in real.parent.iterdir() if "paddle-bootstrap-" in path.name] == [kept.read(real)]


def test_system_cuda_and_back(it: Provisioning) -> None:
    root = it.root / "rootfs"
    (root / "usr/lib64").mkdir(parents=True)
    for name, major in {"libcudnn": "8", "libcublas": "11", "libcublasLt": "11"}.items():
        (root / f"usr/lib64/{name}.so").write_bytes(library(f"{name}.so.{major}"))
    it.install("one")
    rooted = {"PADDLE_BOOTSTRAP_ROOTFS": str(root)}
    done = it.install("one", "--cuda-runtime", "system", environ=rooted)
    assert done.returncode == 0, done.stderr
    assert it.edition() == ("one", "one", "False")
    assert not (it.site_packages() / "nvidia").exists()
    told = json.loads((it.env / ".paddle-bootstrap/receipt.json").read_text())
    assert (told["cuda_runtime"], told["links"], sorted(told["libraries"])) == (
        "system",
        [],
        ["libcublas.so", "libcublasLt.so", "libcudnn.so"],
    )
    assert "nothing to do" in it.install("one", environ=rooted).stdout  # auto decides the same
    done = it.install("one", "--cuda-runtime", "wheels", environ=rooted)
    assert "(7 links)" in done.stdout
    assert it.edition() == ONE
    (root / "usr/lib64/libcudnn.so").unlink()
    done = it.install("one", "--cuda-runtime", "system", environ=rooted)
    assert done.returncode == 14
    assert "libcudnn.so: not found under this name" in done.stderr
    assert it.edition() == ONE


def test_changes_in_place(it: Provisioning) -> None:
    it.env.mkdir()
    inode = it.env.stat().st_ino
    for lock, expected in (("one", ONE), ("two", TWO)):
        done = it.install(lock, "--in-place")
        assert done.returncode == 0, done.stderr
        assert "is changed in place: an interruption can leave it half changed" in done.stderr
        assert it.edition() == expected
    write_lock(it.lock("cpu"), it.sets["cpu"][:1])
    assert it.install("cpu", "--in-place").returncode == 0
    assert [path.name for path in it.site_packages().glob("*.dist-info")] == ["paddlepaddle-3.3.1.dist-info"]
    assert it.env.stat().st_ino == inode
