"""``file://`` indexes and folders, as a host set up for its company's wheels has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes, WrongBytes
from paddle_bootstrap.mirrors.model import mirror_at
from tests.fakes.mirror import make_wheel
from tests.unit.fetch.conftest import Bring

WHEEL, DATA = make_wheel("some-demo")
NAME = WHEEL.filename


def index(root: Path) -> Path:
    """An index as bandersnatch and others write it: pages with relative links."""
    page = root / "simple" / "some-demo"
    page.mkdir(parents=True)
    (root / "files").mkdir()
    (root / "files" / NAME).write_bytes(DATA)
    (page / "index.html").write_text(f'<a href="../../files/{NAME}#sha256={WHEEL.sha256}">{NAME}</a>')
    return root / "simple"


def test_an_index(bring: Bring, tmp_path: Path) -> None:
    fetched = bring(WHEEL, index(tmp_path / "with space").as_uri())
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[0].bytes == len(DATA)


@pytest.mark.parametrize("folder", ["", "some-demo"])
@pytest.mark.parametrize("kind", ["simple", "find-links"])
def test_a_folder(bring: Bring, tmp_path: Path, folder: str, kind: str) -> None:
    place = tmp_path / "wheels"
    (place / folder).mkdir(parents=True)
    (place / folder / NAME).write_bytes(DATA)
    if folder and kind == "find-links":
        place /= folder
    assert bring(WHEEL, mirror_at(place.as_uri(), kind=kind)).files[NAME].read_bytes() == DATA  # type: ignore[arg-type]


def test_a_folder_whose_index_is_for_people(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>our wheels")
    (tmp_path / NAME).write_bytes(DATA)
    assert bring(WHEEL, mirror_at(tmp_path.as_uri(), kind="find-links")).transfers[0].outcome == "fetched"


def test_a_page(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(DATA)
    (tmp_path / "links.html").write_text(f'<base href="{tmp_path.as_uri()}/"><A HREF={NAME}>x</a>')
    page = mirror_at((tmp_path / "links.html").as_uri(), kind="find-links")
    assert bring(WHEEL, page).transfers[0].outcome == "fetched"


def test_a_folder_that_is_gone(bring: Bring, tmp_path: Path) -> None:
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, (tmp_path / "gone" / "simple").as_uri(), mirror_at((tmp_path / "x").as_uri(), kind="find-links"))
    assert all("No such file" in line for line in caught.value.tried)


@pytest.mark.parametrize("name", ["a" * 300, "%00x"])
def test_a_folder_that_cannot_be(bring: Bring, tmp_path: Path, name: str) -> None:
    place = index(tmp_path)
    fetched = bring(WHEEL, f"{tmp_path.as_uri()}/{name}", place.as_uri())
    assert [record.outcome for record in fetched.transfers][1:] == ["fetched"]


def test_a_page_whose_file_is_gone(bring: Bring, tmp_path: Path) -> None:
    place = index(tmp_path)
    (tmp_path / "files" / NAME).unlink()
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, place.as_uri())
    assert "No such file" in caught.value.tried[0]


def test_wrong_bytes(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(DATA[:-1] + b"?")
    with pytest.raises(WrongBytes):
        bring(WHEEL, tmp_path.as_uri())


def test_the_store_keeps_a_copy_of_its_own(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(DATA)
    kept = bring(WHEEL, tmp_path.as_uri()).files[NAME]
    assert kept.stat().st_ino != (tmp_path / NAME).stat().st_ino
