"""Digests that others recorded: a file that differs is refused, one that agrees is not called first use."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from paddle_bootstrap import config
from paddle_bootstrap.errors import WrongBytes
from paddle_bootstrap.lock.recorded import TABLE, Recorded, recorded
from paddle_bootstrap.mirrors.rows import rows
from paddle_bootstrap.releases.model import releases
from paddle_bootstrap.stages import locking
from paddle_bootstrap.stages.wish import Wish
from paddle_bootstrap.toml import read
from tests.fakes.lock_desk import DATA, NAME, Desk
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name, gpu_wheel

RELEASE = next(each for each in releases() if each.id == "3.3.1 cu126")
SHA256 = hashlib.sha256(DATA).hexdigest()


def records(folder: Path, sha256: str, size: int | None = None, *, build: str = "cu126") -> Path:
    told = f"size = {size}\n" if size else ""
    path = folder / "recorded.toml"
    path.write_text(
        f'[[wheel]]\nfolder = "{build}"\nfile = "{NAME}"\nsha256 = "{sha256}"\n{told}source = "a colleague, 2026"\n'
    )
    return path


def wish(desk: Desk, *, shipped: bool = False) -> Wish:
    tables = config.mirror_tables([desk.folder / "paddle-bootstrap.toml"])
    return Wish(
        env=desk.folder / "env",
        store=desk.folder / "store",
        environ=dict(os.environ),
        root=Path("/"),
        cwd=desk.folder,
        mirrors=("paddle-bj", "official"),
        mirror_tables=tables,
        require_shipped=shipped,
    )


def test_a_file_that_agrees_is_recorded_and_comes_from_any_mirror(desk: Desk, tmp_path: Path) -> None:
    table = records(tmp_path, SHA256, len(DATA))
    lock = locking.compose_lock(wish(desk, shipped=True), RELEASE, (PYTHON,), desk.written, table)
    assert lock.first_use == ()
    assert str(lock.learned[0]).startswith(f"{NAME}: recorded by a colleague, 2026 (paddle-cdn and paddle-bj")
    whole = [asked for _, asked in desk.paddle.cdn.sent(NAME) if asked in ("", "bytes=0-")]
    assert whole == []  # it came from the mirror that was named
    again = locking.compose_lock(wish(desk), RELEASE, (PYTHON,), desk.written, table)
    assert again.sha256 == lock.sha256


def test_a_file_that_differs_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(WrongBytes) as caught:
        locking.compose_lock(wish(desk), RELEASE, (PYTHON,), desk.written, records(tmp_path, "0" * 64))
    assert f"recorded by a colleague, 2026: {NAME} has sha256 {'0' * 64}" in caught.value.tried
    assert not desk.written.exists()


def test_a_file_of_another_size_is_refused_before_it_is_fetched(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(WrongBytes) as caught:
        locking.compose_lock(wish(desk), RELEASE, (PYTHON,), desk.written, records(tmp_path, SHA256, 5))
    assert caught.value.tried[0] == "recorded by a colleague, 2026: 5 bytes"
    assert caught.value.exit_code == 13


def test_the_record_of_another_build_says_nothing(desk: Desk, tmp_path: Path) -> None:
    """One name stands in every folder, with other bytes."""
    table = records(tmp_path, "0" * 64, build="cu129")
    assert locking.compose_lock(wish(desk), RELEASE, (PYTHON,), desk.written, table).first_use


def test_the_command_line_obeys_the_records_that_are_shipped(desk: Desk) -> None:
    name = gpu_name(python="3.13")
    for host in (desk.paddle.cdn, desk.paddle.origin):
        host.folders["cu126"][name] = gpu_wheel(filling=b"no two gigabytes")
    assert desk.lock("--python", "3.13") == 13
    assert f"{name} is not the file that was recorded" in desk.err
    assert "recorded by KrisTC/visual-doc-pipeline" in desk.err
    assert "2021397999 bytes" in desk.err


def test_every_shipped_record_is_about_a_wheel_of_a_known_build() -> None:
    table = [Recorded(**row) for row in read(TABLE)["wheel"]]
    assert len(table) == len({(row.folder, row.file) for row in table}) >= 15
    names = {
        (each.index_folder, name.replace("linux_x86_64", tag))
        for each in releases()
        for name in map(each.filename, each.pythons)
        for tag in ("linux_x86_64", "manylinux1_x86_64")
    }
    for row in table:
        assert (row.folder, row.file) in names
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert row.source
    assert recorded("cu129", "paddlepaddle_gpu-3.3.1-cp312-cp312-linux_x86_64.whl") is None  # a third party's copy


def test_a_file_that_changed_since_the_first_use_is_refused(desk: Desk, tmp_path: Path) -> None:
    assert desk.lock() == 0, desk.err
    before = desk.written.read_bytes()
    for host in (desk.paddle.cdn, desk.paddle.origin):
        host.folders["cu126"][NAME] = gpu_wheel(filling=b"another file under the same name")
    assert desk.lock("--upgrade") == 13
    assert f"has another {NAME} than on " in desk.err
    assert f"then: sha256 {SHA256}" in desk.err
    assert desk.written.read_bytes() == before


def test_the_same_name_in_another_folder_is_another_file(desk: Desk) -> None:
    """cu129 has the name of cu126: what was learned of one says nothing about the other."""
    assert desk.lock() == 0, desk.err
    other = gpu_wheel(filling=b"for CUDA 12.9")
    for host in (desk.paddle.cdn, desk.paddle.origin):
        host.folders["cu129"][NAME] = other
    assert desk.lock("--upgrade", build="cu129") == 0, desk.err
    assert hashlib.sha256(other).hexdigest() in desk.written.read_text()
    assert "build: gpu-3_3_1-cu126 becomes gpu-3_3_1-cu129" in desk.out


def test_what_the_store_has_from_a_first_use_is_not_downloaded_again(desk: Desk) -> None:
    assert desk.lock() == 0, desk.err
    desk.paddle.cdn.asked.clear()
    assert desk.lock("--upgrade") == 0, desk.err
    assert desk.out.splitlines()[0] == "nothing differs"
    assert all(asked and not asked.endswith("-") for _, asked in desk.paddle.cdn.sent(NAME))
    assert not list(desk.folder.glob("*.old"))


def test_the_official_index_is_an_origin() -> None:
    assert [row.name for row in rows() if row.origin and row.holds == "pypi"] == ["official"]
    assert [row.name for row in rows() if row.origin and row.holds == "paddle"] == ["paddle", "paddle-cdn", "paddle-bj"]
