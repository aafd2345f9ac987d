"""``lock --check``, ``lock diff`` and ``lock --upgrade``."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.lock import pylock
from tests.fakes.lock_desk import NAME, NVTX, REST, Desk
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name, gpu_wheel
from tests.unit.lock.small_index import File

FROM = ("--mirror", "paddle-cdn", "--mirror", "official")


@pytest.fixture
def composed(desk: Desk) -> Desk:
    assert desk.lock() == 0, desk.err
    return desk


def test_check_asks_every_mirror_for_every_file(composed: Desk) -> None:
    composed.paddle.cdn.asked.clear()
    assert composed.run("--check", *FROM) == 0, composed.err
    assert composed.out.splitlines()[0] == "paddle-cdn  serves 1 of 4 files"
    assert "official    serves 3 of 4 files" in composed.out
    assert composed.paddle.cdn.sent(NAME)[0][1] == "bytes=0-0"  # its size, and no more
    assert composed.run("--check", str(composed.written), *FROM) == 0


def test_check_tells_what_is_on_no_mirror(composed: Desk) -> None:
    del composed.pypi.files[NVTX]
    assert composed.run("--check", *FROM) == 12
    assert "1 of 4 files are on no mirror" in composed.err
    assert NVTX in composed.err


@pytest.mark.parametrize("kind", ["size", "digest"])
def test_check_tells_other_files_under_the_same_name(composed: Desk, kind: str) -> None:
    if kind == "size":
        for host in (composed.paddle.cdn, composed.paddle.origin):
            host.folders["cu126"][NAME] = gpu_wheel(filling=b"another")
    else:
        composed.pypi.files[NVTX] = File(NVTX, data=b"another")
    assert composed.run("--check", *FROM) == 13
    told = {"size": f"{NAME}: it has", "digest": f"{NVTX}: it announces sha256"}[kind]
    assert told in composed.err
    assert "do not use that mirror" in composed.err


def test_upgrade_moves_the_projects_lock_on_and_says_what_changed(composed: Desk) -> None:
    old = composed.written.read_bytes()
    newer = gpu_name("3.3.0")  # the newest that is there: 3.3.1 was the only one
    composed.pypi.files["numpy-2.3.0-py3-none-any.whl"] = File("numpy-2.3.0-py3-none-any.whl")
    for host in (composed.paddle.cdn, composed.paddle.origin):
        host.folders["cu126"][newer] = gpu_wheel("3.3.0", requires=["numpy>=1.21"])
    assert composed.run("--upgrade", "--paddle", "3.3.0", "--build", "cu126", "--python", PYTHON, *FROM) == 0, (
        composed.err
    )
    said = composed.out.splitlines()
    assert said[:2] == [
        "build: gpu-3_3_1-cu126 becomes gpu-3_3_0-cu126",
        "CUDA libraries: as dependencies becomes none",
    ]
    assert "numpy 2.2.6 becomes 2.3.0" in said
    assert "nvidia-nvtx-cu12 12.6.77 goes" in said
    assert "paddlepaddle-gpu 3.3.1 becomes 3.3.0" in said
    backup = composed.folder / "pylock.paddle.toml.old"
    assert f"the old one is {backup}" in said
    assert backup.read_bytes() == old
    assert pylock.read(composed.written).build.version == "3.3.0"  # type: ignore[union-attr]


def test_upgrade_that_fails_leaves_the_lock(composed: Desk) -> None:
    before = sorted((path.name, path.read_bytes()) for path in composed.folder.iterdir())
    assert composed.run("--upgrade", "--paddle", "3.2.2", "--build", "cu126", "--python", PYTHON, *FROM) == 12
    assert sorted((path.name, path.read_bytes()) for path in composed.folder.iterdir()) == before


def test_upgrade_puts_what_the_settings_ask_for_into_the_lock(composed: Desk) -> None:
    composed.pypi.files["tool-1.0-py3-none-any.whl"] = File("tool-1.0-py3-none-any.whl")
    composed.settings('extra = ["tool"]\n')
    assert composed.run("--upgrade", "--paddle", "3.3.1", "--build", "cu126", "--python", PYTHON, *FROM) == 0, (
        composed.err
    )
    assert composed.out.splitlines()[:2] == ["asked for beside Paddle: none becomes tool", "tool 1.0 comes"]


def test_diff_in_words(composed: Desk, tmp_path: Path) -> None:
    text = composed.written.read_text()
    other = tmp_path / "pylock.other.toml"
    changes = {
        'sha256 = "' + pylock.read(composed.written).learned[0].file: "",
        'how = "first use"': 'how = "recorded"',
        'requires-python = ">=3': 'requires-python = ">= 3',
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    numpy = next(line for line in text.splitlines() if REST[0] in line)
    digest = numpy.rpartition("sha256 = ")[2].split('"')[1]
    other.write_text(text.replace(digest, "0" * 64))
    assert composed.run("diff", str(composed.written), str(other)) == 0, composed.err
    assert composed.out.splitlines() == [
        f"numpy 2.2.6: {REST[0]} has OTHER BYTES: {digest} becomes {'0' * 64}",
        f"digest of {NAME}: first use, from {pylock.read(composed.written).learned[0].source} becomes recorded by "
        f"{pylock.read(composed.written).learned[0].source}",
    ]
    assert composed.run("diff", str(other), str(other)) == 0
    assert composed.out == "nothing differs\n"


def test_diff_of_shipped_locks(desk: Desk) -> None:
    assert desk.run("diff", "cpu-3_0_0", "cpu-3_3_1") == 0, desk.err
    said = desk.out.splitlines()
    assert "build: cpu-3_0_0 becomes cpu-3_3_1" in said
    assert "oldest glibc: 2.27 becomes 2.28" in said
    assert "Pythons: 3.8, 3.9, 3.10, 3.11, 3.12, 3.13 becomes 3.9, 3.10, 3.11, 3.12, 3.13" in said
    assert "paddlepaddle 3.0.0 becomes 3.3.1" in said
    assert "astor 0.8.1 goes" in said
    assert "safetensors 0.6.2 comes" in said


@pytest.mark.parametrize("names", [("none.toml", "cpu-3_3_1"), ("cpu-3_3_1", "none.toml")])
def test_diff_of_what_is_not_there(desk: Desk, names: tuple[str, str]) -> None:
    assert desk.run("diff", *names) == 2
    assert "no such lock: none.toml" in desk.err
