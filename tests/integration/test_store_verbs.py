"""``store list``, ``prune`` and ``verify``: what is there, what nobody uses, what is no longer what it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.filelock import held
from tests.fakes.wheels import CPU, ONE, TWO, FakeWheel, Provisioning


@pytest.fixture
def it(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def store(it: Provisioning, *words: str) -> subprocess.CompletedProcess[str]:
    place = [] if "--store" in words else ["--store", str(it.store.root)]
    command = [sys.executable, "-m", "paddle_bootstrap", "store", *words, *place]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def listed(it: Provisioning) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store(it, "list", "--json").stdout)
    return found


def users(it: Provisioning) -> dict[str, list[str]]:
    """Version and edition say little: by sha256."""
    return {row["sha256"]: row["used_by"] for row in listed(it)["wheels"]}


def of(it: Provisioning, lock: str) -> set[str]:
    return {wheel.sha256 for wheel in it.sets[lock]}


def unpacked(it: Provisioning, wheel: FakeWheel) -> Path:
    return it.store.root / "unpacked" / wheel.sha256[:2] / wheel.sha256


def test_an_empty_store(it: Provisioning) -> None:
    shutil.rmtree(it.store.root)
    assert store(it, "list").stdout == f"{it.store.root}: 0 wheels: 0 B as files, 0 B unpacked\n"
    assert store(it, "prune").stdout == f"{it.store.root}: 0 B freed\n"
    assert store(it, "verify").returncode == 0
    assert not it.store.root.exists()


def test_what_is_there_and_who_uses_it(it: Provisioning) -> None:
    second = it.root / "second"
    it.install("one")
    it.install("two")
    it.install("cpu", "--no-keep-wheels", env=second)
    uses = users(it)
    assert {sha256 for sha256, targets in uses.items() if str(it.env) in targets} == of(it, "one") | of(it, "two")
    assert {sha256 for sha256, targets in uses.items() if targets == [str(second)]} == of(it, "cpu")
    rows = {row["name"]: row for row in listed(it)["wheels"]}
    assert rows["paddlepaddle-3.3.1"]["wheel_bytes"] == 0  # unpacked only: named by what its metadata says
    assert rows["astor-0.8.1-py3-none-any.whl"]["unpacked_bytes"] >= 4096
    lines = store(it, "list").stdout.splitlines()
    assert lines[0].split() == ["wheel", "file", "unpacked", "used", "by"]
    assert any(line.startswith("paddlepaddle-3.3.1 ") and line.endswith(str(second)) for line in lines)
    assert lines[-1].startswith(f"{it.store.root}: 8 wheels: ")


def test_prune_leaves_what_targets_use(it: Provisioning) -> None:
    it.install("one")
    (it.store.root / "partial").mkdir()
    (it.store.root / "partial" / f"{'0' * 64}.part").write_bytes(bytes(5000))
    (it.store.root / "unpacking" / ("1" * 64)).mkdir(parents=True)
    done = store(it, "prune", "--dry-run")
    assert done.stdout.count("would remove") == 6
    assert len(listed(it)["wheels"]) == 8
    done = store(it, "prune")
    assert (done.returncode, done.stdout.count("removed ")) == (0, 6), done.stderr
    assert f"removed partial {'0' * 64}.part\n" in done.stdout
    assert re.fullmatch(rf"{it.store.root}: [1-9]\d kB freed", done.stdout.splitlines()[-1])
    assert set(users(it)) == of(it, "one")
    assert listed(it)["rests"] == []
    assert store(it, "prune").stdout == f"{it.store.root}: 0 B freed\n"


def test_a_kept_state_and_a_gone_target(it: Provisioning) -> None:
    it.install("one")
    it.install("two")
    store(it, "prune")
    assert set(users(it)) == of(it, "one") | of(it, "two")
    it.install("two", "--no-keep")
    store(it, "prune")
    assert set(users(it)) == of(it, "two")
    shutil.rmtree(it.env)
    assert "no target" in store(it, "list").stdout
    store(it, "prune")
    assert (users(it), list((it.store.root / "targets").iterdir())) == ({}, [])


def test_a_record_that_cannot_be_read(it: Provisioning) -> None:
    """Its target may use anything: nothing goes until somebody says so, or an installation writes it anew."""
    it.install("one")
    card = next((it.store.root / "targets").iterdir())
    bad = card.with_name("0.json")
    bad.write_text(card.read_text()[:40])
    for words in ((), ("--dry-run", "--older-than", "0h")):
        done = store(it, "prune", *words)
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert f"  - {bad}\n" in done.stderr
        assert "store prune --all" in done.stderr
    assert f"{bad}  cannot be read: what its target uses is not known\n" in store(it, "list").stdout
    found = listed(it)
    assert found["unread"] == [str(bad)]
    assert {row["sha256"] for row in found["wheels"] if row["used_by"]} == of(it, "one") < set(users(it))
    bad.replace(card)
    it.install("one")
    assert store(it, "prune").returncode == 0
    assert set(users(it)) == of(it, "one")
    card.write_text("")
    assert store(it, "prune", "--all").returncode == 0
    assert listed(it)["wheels"] == []


def test_all_and_older_than(it: Provisioning) -> None:
    it.install("one")
    old = it.store.path(it.sets["cpu"][0].sha256, it.sets["cpu"][0].path.name)
    os.utime(old, (0, 0))
    for path in it.store.root.rglob("*.whl"):
        if path != old:
            os.utime(path, (4e9, 4e9))  # came while the clock was wrong
    done = store(it, "prune", "--older-than", "30d")
    assert done.stdout.splitlines()[0] == "removed paddlepaddle-3.3.1-py3-none-any.whl"
    assert len(listed(it)["wheels"]) == 7
    done = store(it, "prune", "--all")
    assert (listed(it)["wheels"], it.edition()) == ([], ONE)
    assert not old.parent.exists()
    done = store(it, "prune", "--older-than", "a month")
    assert (done.returncode, "write 12h, 30d or 8w" in done.stderr) == (2, True)


def test_links_free_nothing(it: Provisioning) -> None:
    it.install("one", "--no-keep-wheels")
    for name in ("two", "cpu"):
        for wheel in it.sets[name]:
            it.store.path(wheel.sha256, wheel.path.name).unlink(missing_ok=True)
    lines = store(it, "prune", "--all").stdout.splitlines()
    assert len(lines) == 5
    assert float(lines[-1].split()[1]) <= 40  # kB: the metadata that every target has of its own


def test_another_hosts_target_counts(it: Provisioning) -> None:
    """Nobody can look at it from here."""
    it.install("one")
    card = next((it.store.root / "targets").iterdir())
    card.write_text(json.dumps({**json.loads(card.read_text()), "host": "other"}))
    shutil.rmtree(it.env)
    store(it, "prune")
    assert set(users(it)) == of(it, "one")
    assert f"other:{it.env}" in store(it, "list").stdout


def test_a_run_at_work_is_not_disturbed(it: Provisioning) -> None:
    with held(it.store.lock, "the store"):
        done = store(it, "prune")
    assert (done.returncode, "is in use by process" in done.stderr) == (14, True)


def damage(it: Provisioning) -> dict[Path, str]:
    """Each wheel in another way: what has to go -> what is said of it."""
    paddle, astor, cudnn, cublas = (unpacked(it, wheel) for wheel in it.sets["one"])
    (astor / "astor/__init__.py").write_text("EDITION = 'edited'\n")
    (cudnn / "nvidia/cudnn/__init__.py").unlink()
    (cublas / "nvidia/more.py").write_text("")
    (next(paddle.glob("*.dist-info")) / "RECORD").write_text("")
    flipped, unreadable = (it.store.path(wheel.sha256, wheel.path.name) for wheel in it.sets["two"][:2])
    flipped.write_bytes(flipped.read_bytes()[:-1] + b"x")
    unreadable.unlink()
    unreadable.mkdir()  # the nearest thing to a failing disk
    return {
        astor: "astor/__init__.py is changed",
        cudnn: "nvidia/cudnn/__init__.py cannot be read: No such file or directory",
        cublas: "nvidia/more.py is not in its RECORD",
        paddle: "its RECORD is not the wheel's",
        flipped: "its bytes are not those of its sha256",
        unreadable: "cannot be read: Is a directory",
    }


def test_damage_is_named_and_mended(it: Provisioning) -> None:
    it.install("one")
    done = store(it, "verify")
    assert (done.returncode, done.stdout) == (0, f"{it.store.root}: everything is as it was verified\n"), done.stderr
    told = damage(it)
    done = store(it, "verify")
    assert done.returncode == 13
    for path, why in told.items():
        assert f"damaged: {path}\n  {why}\n" in done.stdout
    assert done.stdout.count("damaged: ") == len(told)
    assert done.stdout.count(f"{it.env} may hold the same files: run install --repair there") == 4  # those unpacked
    assert re.search(r"  and \d+ more \(-v\)\n", done.stdout)  # files that an empty RECORD does not name
    assert "6 of its wheels and unpacked copies are damaged" in done.stderr
    assert "store verify --remove" in done.stderr
    done = store(it, "verify", "--remove", "-v")
    assert (done.returncode, "more (-v)" in done.stdout) == (13, False)
    assert "the next fetch or install brings them again" in done.stderr
    assert not any(path.exists() for path in told)
    assert store(it, "verify").returncode == 0
    assert it.install("one", "--repair").returncode == 0
    assert it.edition() == ONE
    assert store(it, "verify").returncode == 0


def test_what_stands_beside_what_was_verified(it: Provisioning) -> None:
    it.install("one")
    folder = unpacked(it, it.sets["one"][0])
    (folder / "evil").symlink_to("/etc")
    (folder / "__pycache__x").mkdir()
    (folder / "__pycache__x/evil.py").touch()
    done = store(it, "verify", "-v")
    assert done.returncode == 13
    assert "evil is not in its RECORD" in done.stdout
    assert "__pycache__x/evil.py is not in its RECORD" in done.stdout
    record = next(folder.glob("*.dist-info/RECORD"))
    content = record.read_bytes()
    record.unlink()
    record.write_bytes(content[:4] + b'"' + content[5:] + b"x" * 200_000)
    done = store(it, "verify", "--remove")
    assert (done.returncode, "its RECORD cannot be read" in done.stdout) == (13, True)
    assert not folder.exists()


def test_a_folder_that_cannot_be_looked_into_is_not_sound(it: Provisioning) -> None:
    it.install("one")
    closed = it.store.path(it.sets["one"][0].sha256, it.sets["one"][0].path.name).parent
    closed.chmod(0)
    drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-m", "paddle_bootstrap", "store", "verify", "--store", str(it.store.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    closed.chmod(0o755)
    assert (done.returncode, f"{closed} cannot be read: Permission denied" in done.stderr) == (3, True), done.stderr


def test_nothing_is_left_to_be_used_by_mistake(it: Provisioning) -> None:
    """After everything was pruned an installation brings it again."""
    it.install("cpu")
    store(it, "prune", "--all")
    done = it.install("two", "--mirror", str(it.root / "wheels-two"))
    assert done.returncode == 0, done.stderr
    assert it.edition() == TWO
    assert CPU[2] != TWO[2]


def test_bytecode_goes_with_its_wheel(it: Provisioning) -> None:
    it.install("one")
    alone = next((it.store.root / "unpacked").glob("??/*.cpython-*"))
    unmade = alone.with_name(f"{alone.name}.1234")
    unmade.mkdir()
    assert f"leftover {unmade.name}\n" in store(it, "prune").stdout
    assert alone.is_dir()
    store(it, "prune", "--all")
    assert list((it.store.root / "unpacked").glob("??/*")) == []


@pytest.mark.parametrize("verb", ["list", "prune", "verify"])
def test_what_is_no_store_is_left_alone(it: Provisioning, verb: str) -> None:
    elsewhere = it.root / "elsewhere"
    (elsewhere / "partial").mkdir(parents=True)
    (elsewhere / "partial/mine").write_text("mine")
    (elsewhere / "notes.txt").write_text("mine too")
    done = store(it, verb, "--store", str(elsewhere))
    assert done.returncode == 2, done.stdout
    assert f"error: {elsewhere} is no store of wheels" in done.stderr
    assert "it holds notes.txt" in done.stderr
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["mine", "notes.txt", "partial"]
    assert store(it, verb, "--store", str(elsewhere / "notes.txt")).returncode == 2
    (elsewhere / "notes.txt").unlink()
    store(it, verb, "--store", str(elsewhere))
    assert (elsewhere / "partial/mine").exists()
