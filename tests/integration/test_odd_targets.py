"""Targets that somebody has been at: nothing outside them is changed, and no file counts as what it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.wheels import CPU, ONE, Provisioning, build, digests, fill, gpu_set, write_lock


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def run(it: Provisioning, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", verb, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=it.root, timeout=60)


@pytest.mark.parametrize("more", [(), ("--in-place",)])
@pytest.mark.parametrize("where", ["astor", "paddle", ""])
def test_a_link_that_leads_out(it: Provisioning, where: str, more: tuple[str, ...]) -> None:
    """A checkout in the place of a package, or all packages on another disk."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", it.env], check=True)
    link, outside = it.site_packages() / where, it.root / "outside"
    if where:
        outside.mkdir()
    else:
        link.rename(outside)
    (outside / "__init__.py").write_text("MINE = True\n")
    link.symlink_to(outside)
    before = digests(outside)
    done = it.install("one", *more)
    assert done.returncode == 14
    told = " ".join(done.stderr.split())
    assert (
        f"lib/python3.{sys.version_info[1]}/site-packages{f'/{where}' if where else ''} in the target leads out" in told
    )
    assert digests(outside) == before
    assert link.is_symlink()
    link.unlink()
    outside.rename(link)
    assert it.install("one").returncode == 0
    assert it.edition() == ONE


@pytest.mark.parametrize("more", [(), ("--in-place",)])
def test_libraries_that_lie_outside(it: Provisioning, more: tuple[str, ...]) -> None:
    """Every file has its size, so nothing is installed again; the links to NVIDIA's libraries are."""
    assert it.install("one").returncode == 0
    libs, outside = it.site_packages() / "paddle/libs", it.root / "outside"
    libs.rename(outside)
    libs.symlink_to(outside)
    (outside / "libcudnn.so").unlink()
    (outside / "mine.so").symlink_to("nowhere")
    before = sorted(path.name for path in outside.iterdir())
    done = it.install("one", *more)
    assert (done.returncode, "paddle/libs in the target leads out of it" in " ".join(done.stderr.split())) == (14, True)
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_file_at_the_root_of_the_target(it: Provisioning) -> None:
    odd = build(it.root / "odd", "zzz", "1", {"zzz-1.data/data/LICENSE.txt": "free\n"})
    wheels = (*it.sets["one"], odd)
    write_lock(it.lock("four"), wheels)
    fill(it.store, wheels)
    assert it.install("four").returncode == 0
    assert (it.env / "LICENSE.txt").read_text() == "free\n"
    assert it.install("one").returncode == 0
    assert not (it.env / "LICENSE.txt").exists()


def test_a_damaged_record_of_ours_and_of_somebody_elses(it: Provisioning) -> None:
    assert it.install("one").returncode == 0
    (it.site_packages() / "mine-1.0.dist-info").mkdir()
    (it.site_packages() / "mine-1.0.dist-info/RECORD").write_bytes(b"mine/\xff.py,,\n")
    assert "nothing to do" in it.install("one").stdout
    (it.site_packages() / "astor-0.8.1.dist-info/RECORD").write_bytes(b"\xff\xfe")
    done = it.install("one", "-v")
    assert (done.returncode, "repairing astor: it lacks a readable" in done.stderr) == (0, True), done.stderr
    assert it.edition() == ONE


@pytest.mark.parametrize("entries", ["nonsense", "[console_scripts]\nzzz = nope nope"])
def test_what_was_left_by_a_broken_change_in_place(it: Provisioning, entries: str) -> None:
    """The same names and versions in other bytes, of which only a part arrived: the old receipt vouches for none of it."""
    odd = build(it.root / "odd", "zzz", "1", {"zzz-1.dist-info/entry_points.txt": entries})
    three = (*gpu_set(it.root / "wheels-three", "tri"), odd)
    write_lock(it.lock("three"), three)
    fill(it.store, three)
    assert it.install("one").returncode == 0
    done = it.install("three", "--in-place")
    assert done.returncode == 14
    assert "zzz-1-py3-none-any.whl cannot be installed" in done.stderr
    assert it.edition()[0] == "tri"
    done = run(it, "sbom", "--env", str(it.env))
    told = done.stderr
    assert (done.returncode, "a change in place of it was not ended" in " ".join(told.split())) == (14, True)
    done = run(it, "verify", "--env", str(it.env), "-k", "install")
    assert (done.returncode, "a change in place was not ended" in " ".join(done.stdout.split())) == (1, True), (
        done.stdout
    )
    assert run(it, "store", "prune", "--store", str(it.store.root)).returncode == 0  # the way back stays
    copy = it.env / ".paddle-bootstrap/pylock.one.toml"
    assert f"--lock {copy}" in " ".join(told.split())
    done = run(it, "install", "--env", str(it.env), "--lock", str(copy), "--store", str(it.store.root), "--offline")
    assert done.returncode == 0, done.stderr
    assert it.edition() == ONE
    listed = subprocess.run(
        ["sha256sum", "--check", "--status", ".paddle-bootstrap/files.sha256"], cwd=it.env, check=False
    )
    assert listed.returncode == 0


def test_a_target_is_repaired_by_its_own_copy_of_the_lock(it: Provisioning) -> None:
    assert it.install("cpu").returncode == 0
    copy = it.env / ".paddle-bootstrap/pylock.cpu.toml"
    it.lock("cpu").unlink()
    (it.site_packages() / "astor/__init__.py").unlink()
    places = ("--env", str(it.env), "--store", str(it.store.root), "--offline")
    done = run(it, "install", "--repair", "--in-place", *places)
    assert done.returncode == 0, done.stderr
    assert it.edition() == CPU
    (it.env / ".paddle-bootstrap/receipt.json").unlink()
    done = run(it, "adopt", str(it.env), "--lock", str(copy), "--store", str(it.store.root))
    assert (done.returncode, copy.is_file()) == (0, True), done.stderr
    copy.unlink()
    done = run(it, "install", "--repair", *places)
    assert done.returncode == 2
    assert f"{copy} is not there, so nothing tells what" in " ".join(done.stderr.split())


def test_links_of_an_adopted_target_stay(it: Provisioning) -> None:
    assert it.install("one").returncode == 0
    (it.env / ".paddle-bootstrap/receipt.json").unlink()
    libs = it.site_packages() / "paddle/libs"
    (libs / "libmine.so").symlink_to("/usr/lib/libmine.so.1")
    before = {path.name for path in libs.iterdir()}
    done = run(it, "adopt", str(it.env), "--lock", str(it.lock("one")), "--store", str(it.store.root))
    assert done.returncode == 0, done.stderr
    assert run(it, "uninstall", "--env", str(it.env)).returncode == 0
    assert {path.name for path in libs.iterdir()} == before
    assert it.edition() == ONE
