"""Targets that are refused, bad input, and Ctrl-C: a clear message, the right exit code, nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.filelock import held
from tests.fakes.wheels import ONE, Provisioning, build, digests, fill, write_lock

MATCHING = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def as_file(it: Provisioning) -> None:
    it.env.write_text("text")


def below_a_file(it: Provisioning) -> None:
    (it.root / "file").write_text("")
    it.env = it.root / "file" / "env"


def as_conda_base(it: Provisioning) -> None:
    (it.env / "conda-meta").mkdir(parents=True)


def as_full_folder(it: Provisioning) -> None:
    it.env.mkdir()
    (it.env / "thesis.tex").write_text("")


def as_dangling_link(it: Provisioning) -> None:
    it.env.symlink_to("unmounted/disk")


def as_circle(it: Provisioning) -> None:
    it.env.symlink_to(it.env.name)


def as_broken_environment(it: Provisioning) -> None:
    it.env.mkdir()
    (it.env / "pyvenv.cfg").write_text("home = /nowhere\n")


def as_own_environment(it: Provisioning) -> None:
    it.env = Path(sys.prefix)


def inside_own_environment(it: Provisioning) -> None:
    it.env = Path(sys.prefix) / "target"


def with_a_colon(it: Provisioning) -> None:
    it.env = it.root / "a:b"


def around_the_store(it: Provisioning) -> None:
    it.env = it.root


REFUSED: dict[Callable[[Provisioning], None], str] = {
    as_file: "is a file",
    below_a_file: "file is a file",
    as_conda_base: "is a conda environment",
    as_full_folder: "is not a virtual environment and not empty",
    as_dangling_link: "unmounted/disk, which does not exist",
    as_circle: "leads nowhere",
    as_broken_environment: "is a broken environment",
    as_own_environment: "is where paddle-bootstrap itself lives",
    inside_own_environment: "is where paddle-bootstrap itself lives",
    with_a_colon: "has a colon",
    around_the_store: "is inside the target",
}


@pytest.mark.parametrize("make", REFUSED)
def test_targets_that_are_refused(it: Provisioning, make: Callable[[Provisioning], None]) -> None:
    make(it)
    before = sorted(it.root.rglob("*"))
    done = it.install("one")
    assert done.returncode == 14, done.stderr
    assert done.stderr.startswith("error: the ")
    assert REFUSED[make] in done.stderr
    assert "\nnext:  " in done.stderr
    assert sorted(it.root.rglob("*")) == before


def test_the_wrong_python_is_refused(it: Provisioning) -> None:
    it.install("one")
    done = it.install("one", "--python", "3.6")
    assert done.returncode == 14
    assert re.search(rf"has Python {re.escape(MATCHING)}\.\d+, but --python 3\.6 was asked for", done.stderr)
    assert "nothing to do" in it.install("one", "--python", f"python{MATCHING}").stdout


def test_no_such_python(it: Provisioning) -> None:
    done = it.install("one", "--python", "3.99")
    assert done.returncode == 10
    assert "Python 3.99 was not found" in done.stderr
    assert f"found cpython {MATCHING}." in done.stderr
    assert not it.env.exists()


def test_too_little_disk_is_said_before_downloading(it: Provisioning) -> None:
    write_lock(it.lock("one"), it.sets["one"], unpacked_bytes=10**15)
    shutil.rmtree(it.store.root)
    done = it.install("one", "--mirror", (it.root / "wheels-one").as_uri())
    assert done.returncode == 14
    assert "not enough disk space" in done.stderr
    assert re.search(
        r"1000000\.00 GB at \S+ \(wheels to download \d kB, their unpacked copy 1000000\.00 GB\)", done.stderr
    )
    assert not it.store.root.exists()
    assert not it.env.exists()


def test_two_runs_at_once(it: Provisioning) -> None:
    with held(it.root / ".env.paddle-bootstrap.lock", "the target"):
        done = it.install("one")
    assert done.returncode == 14
    assert f"the target {it.env} is in use by process {os.getpid()}" in done.stderr
    assert not it.env.exists()


def test_a_damaged_receipt(it: Provisioning) -> None:
    it.install("one")
    path = it.env / ".paddle-bootstrap/receipt.json"
    path.write_text('{"schema_version": 1}')
    done = it.install("one")
    assert (done.returncode, f"remove {path}" in done.stderr) == (14, True)
    path.unlink()
    assert it.install("one").returncode == 0
    assert it.edition() == ONE


def big(it: Provisioning) -> None:
    """Two locks whose installation takes long enough to be interrupted."""
    for name in ("one", "two"):
        modules = {f"bulk/m{number}.py": f"VALUE = {name!r}\n" * 400 for number in range(600)}
        it.sets[name] = (*it.sets[name], build(it.root / f"wheels-{name}", "bulk", "1", modules))
        fill(it.store, it.sets[name])
        write_lock(it.lock(name), it.sets[name])


@pytest.mark.parametrize("moment", ["bin", "lib/python3*/site-packages/bulk/__pycache__/m1.*"])
def test_ctrl_c(it: Provisioning, moment: str) -> None:
    big(it)
    it.install("one")
    before = digests(it.env)
    command = [*it.command("two"), "--python", sys.executable]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not (reached := list(it.root.glob(f".env.*/{moment}"))) and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert reached
    assert process.returncode == 130, told
    assert "interrupted: the target is as it was" in told
    assert digests(it.env) == before
    assert it.beside() == set()


def test_leftovers_go_when_there_is_nothing_to_do(it: Provisioning) -> None:
    it.install("one")
    leftover = it.root / ".env.paddle-bootstrap-0123abcd"
    others = [it.root / ".env.paddle-bootstrap-x.paddle-bootstrap-0123abcd", it.root / ".env.paddle-bootstrap-mine"]
    for folder in (leftover, *others):
        (folder / "bin").mkdir(parents=True)
    assert "nothing to do" in it.install("one").stdout
    assert not leftover.exists()
    assert all(folder.exists() for folder in others)
