"""Bytecode: compiled once beside the unpacked wheel, linked into every target, and none where that is not wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.wheels import Provisioning, build, fill, write_lock


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def compiled(it: Provisioning, env: Path | None = None) -> dict[str, Path]:
    site_packages = it.site_packages(env)
    return {str(path.relative_to(site_packages)): path for path in site_packages.rglob("*.pyc")}


def test_a_second_target_gets_links(it: Provisioning) -> None:
    second = it.root / "second"
    assert it.install("one").returncode == 0
    assert it.install("one", env=second).returncode == 0
    first, others = compiled(it), compiled(it, second)
    assert first.keys() == others.keys()
    assert len(first) > 0
    assert all(path.samefile(others[name]) for name, path in first.items())
    told = subprocess.run(
        [second / "bin/python", "-v", "-c", "import paddle.nn.deep"], capture_output=True, text=True, check=True
    ).stderr
    cache = f"{it.site_packages(second)}/paddle/nn/__pycache__/deep.{sys.implementation.cache_tag}.pyc"
    assert f"{cache} matches" in told  # and is loaded, not compiled again


def test_a_wheel_that_is_unpacked_again_is_compiled_again(it: Provisioning) -> None:
    assert it.install("one").returncode == 0
    module = it.site_packages() / "astor/__init__.py"
    module.write_text("EDITION = 'edited'\n")
    assert it.install("one").returncode == 0
    told = subprocess.run(
        [it.env / "bin/python", "-v", "-c", "import astor"], capture_output=True, text=True, check=True
    ).stderr
    assert f"__pycache__/__init__.{sys.implementation.cache_tag}.pyc matches {module}" in told


@pytest.mark.parametrize("by", ["flag", "variable", "setting"])
def test_none_is_made_where_that_is_not_wanted(it: Provisioning, by: str) -> None:
    (it.root / "paddle-bootstrap.toml").write_text("compile-bytecode = false\n" if by == "setting" else "")
    flags = ["--no-compile-bytecode"] if by == "flag" else []
    environ = {"PADDLE_BOOTSTRAP_COMPILE_BYTECODE": "0"} if by == "variable" else {}
    done = it.install("one", *flags, environ=environ)
    assert done.returncode == 0, done.stderr
    assert compiled(it) == {}
    assert list(it.store.root.rglob("*.pyc")) == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="root may write anywhere")
def test_a_store_that_cannot_be_written_to(it: Provisioning) -> None:
    """The bytecode is compiled for this target alone."""
    assert it.install("one", "--no-compile-bytecode").returncode == 0
    for folder, _, _ in os.walk(it.store.root / "unpacked"):
        Path(folder).chmod(0o555)
    second = it.root / "second"
    drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    command = [*drop, *it.command("one", "--python", sys.executable, env=second)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(it.root)}
    )
    assert done.returncode == 0, done.stderr
    assert len(compiled(it, second)) > 0
    assert list(it.store.root.rglob("*.pyc")) == []
    assert list(second.glob(".bytecode*")) == []


def test_what_cannot_be_compiled_is_left_alone(it: Provisioning) -> None:
    modules = {"odd/__init__.py": "", "odd/two.py": "print 'two'\n", "odd/binary.py": "\0"}
    it.sets["one"] = (*it.sets["one"], build(it.root / "wheels-one", "odd", "1", modules))
    fill(it.store, it.sets["one"])
    write_lock(it.lock("one"), it.sets["one"])
    assert it.install("one").returncode == 0
    assert [path.name.split(".")[0] for path in it.site_packages().glob("odd/__pycache__/*")] == ["__init__"]


def test_a_python_that_cannot_compile(it: Provisioning) -> None:
    """Its words are told, nothing is left beside the wheels, and the target is as it was."""
    broken = it.root / "broken"
    assert it.install("one", "--no-compile-bytecode", env=broken).returncode == 0
    (it.site_packages(broken) / "sitecustomize.py").write_text("import sys; sys.modules['py_compile'] = None\n")
    done = it.install("two", env=broken)
    assert done.returncode == 14, done.stderr
    assert "could not compile the wheels" in done.stderr
    assert it.edition(broken)[0] == "one"
    assert list(it.store.root.glob("unpacked/*/*.cpython*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_no_room_for_it_is_told_as_that(it: Provisioning) -> None:
    """Everything but the bytecode fits."""
    modules = {f"bulk/m{number}.py": f"VALUE = {number}\n" for number in range(300)}
    it.sets["one"] = (*it.sets["one"], build(it.root / "wheels-one", "bulk", "1", modules))
    write_lock(it.lock("one"), it.sets["one"])
    shutil.rmtree(it.store.root)
    it.store.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,nr_inodes=500", "tmpfs", it.store.root], check=True)
    try:
        fill(it.store, it.sets["one"])
        done = it.install("one")
    finally:
        subprocess.run(["umount", "-l", it.store.root], check=True)
    assert done.returncode == 14, done.stderr
    assert "error: no room left: " in done.stderr
    assert "No space left on device" in done.stderr
    assert "free some space; the target is as it was" in done.stderr
    assert "Traceback" not in done.stderr
