"""An index from bundles: every wheel with its digest, those of earlier bundles too, and nobody's file is written over."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.bundle import tree
from paddle_bootstrap.bundle.opening import verify
from paddle_bootstrap.errors import UsageError, WrongBytes
from tests.fakes import bundle
from tests.fakes.wheels import FakeWheel, build, write_lock


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(folder: Path) -> dict[str, str]:
    """File name -> digest, as the index tells it."""
    rows = re.findall(r'<a href="([^"#]+)#sha256=([0-9a-f]+)"', (folder / "index.html").read_text())
    return dict(rows)


def test_every_wheel_with_its_digest(whole: Path, wheels: tuple[FakeWheel, ...], tmp_path: Path) -> None:
    placed = tree.fill(verify(whole, None), tmp_path / "tree")
    assert {path.name for path in placed} == {wheel.path.name for wheel in wheels}
    for wheel in wheels:
        folder = tmp_path / "tree/simple" / wheel.name
        assert listed(folder) == {wheel.path.name: wheel.sha256}
        assert (folder / wheel.path.name).read_bytes() == wheel.path.read_bytes()
        core = hashlib.sha256((folder / f"{wheel.path.name}.metadata").read_bytes()).hexdigest()
        assert f'data-dist-info-metadata="sha256={core}"' in (folder / "index.html").read_text()
    page = (tmp_path / "tree/simple/index.html").read_text()
    assert re.findall(r'href="([^"]+)/"', page) == sorted(wheel.name for wheel in wheels)
    before = content(tmp_path / "tree")
    assert tree.fill(verify(whole, None), tmp_path / "tree") == placed
    assert content(tmp_path / "tree") == before


def test_a_wheel_of_another_bundle_stays(whole: Path, wheels: tuple[FakeWheel, ...], tmp_path: Path) -> None:
    old = (build(tmp_path, "paddlepaddle", "3.0.0", {"paddle/__init__.py": ""}), *wheels[1:])
    (other,) = bundle.make(tmp_path / "old", write_lock(tmp_path / "pylock.old.toml", old), old)
    tree.fill(verify(other, None), tmp_path / "tree")
    tree.fill(verify(whole, None), tmp_path / "tree")
    both = {each.path.name: each.sha256 for each in (old[0], wheels[0])}
    assert listed(tmp_path / "tree/simple/paddlepaddle") == both


def test_other_bytes_under_the_same_name(whole: Path, wheels: tuple[FakeWheel, ...], tmp_path: Path) -> None:
    place = tmp_path / "tree/simple" / wheels[0].name / wheels[0].path.name
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(wheels[0].path.stat().st_size))
    with pytest.raises(WrongBytes, match="is there with other bytes"):
        tree.fill(verify(whole, None), tmp_path / "tree")
    assert not any(place.read_bytes())


def test_a_folder_is_no_bundle(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        tree.fill(replace(verify(whole, None), path=tmp_path), tmp_path / "tree")
