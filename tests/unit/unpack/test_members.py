"""What a wheel may hold."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from paddle_bootstrap.errors import RefusedWheel
from paddle_bootstrap.unpack.members import directory_start, read


def wheel(path: Path, *names: str, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, name.encode() * 10)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a-1-py3-none-any.whl"


def test_ordinary_members(path: Path) -> None:
    members = read(wheel(path, "a/__init__.py", "a/b.so", "a/folder/", "a-1.dist-info/RECORD"))
    assert [member.name for member in members] == ["a/__init__.py", "a/b.so", "a-1.dist-info/RECORD"]
    assert [member.size for member in members] == [130, 60, 200]
    assert not any(member.executable for member in members)
    assert read(wheel(path, "a-1.data/scripts/run", mode=stat.S_IFREG | 0o755))[0].executable


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a\\b", "a/./b"])
def test_a_name_that_leads_elsewhere_is_refused(path: Path, name: str) -> None:
    with pytest.raises(RefusedWheel, match="leads elsewhere"):
        read(wheel(path, "a/ok.py", name))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_what_is_no_file_is_refused(path: Path, kind: int) -> None:
    with pytest.raises(RefusedWheel, match="no ordinary file"):
        read(wheel(path, "a/link", mode=kind | 0o777))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("a/x.py", "A/X.py"), "holds both 'a/x.py' and 'A/X.py'"),
        (("a", "a/x.py"), "as a file and as a folder"),
        (("straße", "STRASSE"), "holds both"),
    ],
)
def test_names_that_some_file_systems_hold_for_one_are_refused(path: Path, names: tuple[str, str], told: str) -> None:
    with pytest.raises(RefusedWheel, match=told):
        read(wheel(path, *names))


def test_a_name_that_is_there_twice_is_refused(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        wheel(path, "a/x.py", "a/x.py")
    with pytest.raises(RefusedWheel, match="holds both"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)[:10]])
def test_what_is_no_zip_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert directory_start(path) is None
    with pytest.raises(RefusedWheel, match="is no wheel"):
        read(path)


def test_the_directory_is_found_by_the_end_alone(path: Path) -> None:
    data = wheel(path, *(f"a/{number}.py" for number in range(100))).read_bytes()
    start = directory_start(path)
    assert start is not None
    path.write_bytes(bytes(start) + data[start:])
    assert directory_start(path) == start
    assert len(read(path)) == 100
