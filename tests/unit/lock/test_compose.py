"""``make locks`` against a small index: what is taken, what is left out, and that nothing else decides."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from paddle_bootstrap.lock import compose, pieces, pylock
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import changed
from tests.unit.lock.small_index import File, SmallIndex

SOURCES = """
exclude_newer = "2025-01-01T00:00:00Z"

[[lock]]
name = "demo-1_0"
requirements = ["demo", "needed"]
pythons = ["3.10", "3.11", "3.12"]
glibc = "2.17"
constraints = ["needed==1.0 ; python_version < '3.11'"]

[lock.groups]
extra = ["library==3.0"]

[lock.build]
id = "demo-1_0"
package = "demo"
version = "1.0"
device = "cpu"
sass = []
ptx = []
cpu_flags = ["avx"]
"""
PLAIN, LIBRARY = "demo-1.0-py3-none-any.whl", "library-3.0-py3-none-any.whl"
NEEDED = {
    "3.10": "needed-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "3.11": "needed-2.0-cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64.whl",
    "3.12": "needed-2.0-cp312-cp312-manylinux2014_x86_64.whl",
}


def files() -> list[File]:
    """What is to be taken, and beside it everything that must not be."""
    return [
        *map(File, (PLAIN, LIBRARY, *NEEDED.values())),
        File("demo-1.0-cp310-cp310-manylinux2014_x86_64.whl", yanked=True),  # fits better than PLAIN
        File(
            "demo-1.0-cp311-cp311-manylinux2014_x86_64.whl", uploaded="2025-01-01T00:00:00.000001Z"
        ),  # too new by a microsecond
        File("demo-1.1-py3-none-any.whl", yanked=True),
        File("demo-2.0-py3-none-any.whl", uploaded="2025-06-01T00:00:00Z"),
        File("demo-0.9-cp312-cp312-manylinux2014_x86_64.whl"),  # older
        File("needed-2.0-cp311-cp311-manylinux_2_28_x86_64.whl"),  # asks for a newer glibc than the lock promises
        File("needed-2.0-cp311-cp311-win_amd64.whl"),
        File("needed-2.0-py3-none-any.whl", requires_python=">=3.11"),  # fits worse
        File("library-3.1-py3-none-any.whl"),
    ]


def composed(index: str, folder: Path, sources: str = SOURCES, *more: str) -> Path:
    """The lock that was written; its wheels are kept in ``folder``/wheels."""
    folder.mkdir(exist_ok=True)
    (folder / "sources.toml").write_text(sources, encoding="utf-8")
    places = ["--wheels", str(folder / "wheels"), "--sources", str(folder / "sources.toml"), "--into", str(folder)]
    compose.main([*places, "--index", index, *more])
    return folder / "pylock.demo-1_0.toml"


def refused(index: str, folder: Path, sources: str = SOURCES, *more: str) -> int | str | None:
    """The exit code; nothing may have been written."""
    with pytest.raises(SystemExit) as caught:
        composed(index, folder, sources, *more)
    assert not list(folder.glob("pylock.*"))
    return caught.value.code


def test_each_python_gets_the_best_wheel_that_was_there_on_the_date(tmp_path: Path) -> None:
    with SmallIndex(*files()) as index:
        lock = pylock.read(composed(index.url, tmp_path))
        assert sorted(index.fetched) == sorted([PLAIN, LIBRARY, *NEEDED.values()])
    for python, needed in NEEDED.items():
        selection = pylock.select(lock, cpython(python))
        assert {wheel.filename for wheel in selection.wheels} == {PLAIN, LIBRARY, needed}
        for wheel in selection.wheels:
            data = index.files[wheel.filename].data
            assert (wheel.size, wheel.sha256) == (len(data), hashlib.sha256(data).hexdigest())
            assert wheel.pieces == (wheel.sha256,)
    assert lock.default_groups == ("extra",)
    assert len(pylock.select(lock, cpython("3.11"), groups=()).wheels) == 2
    assert lock.build is not None
    one_python = (PLAIN, LIBRARY, NEEDED["3.11"])
    assert lock.build.unpacked_bytes == sum(pieces.unpacked_size(tmp_path / "wheels" / name) for name in one_python)


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever order the index lists its files, and whatever the environment says."""
    with SmallIndex(*files()) as index:
        first = composed(index.url, tmp_path / "a")
    monkeypatch.setenv("UV_PRERELEASE", "allow")
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2030-01-01T00:00:00Z")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with SmallIndex(*reversed(files())) as index:
        second = composed(index.url, tmp_path / "b")
    assert second.read_bytes() == first.read_bytes()
    assert pieces.path_for(second).read_bytes() == pieces.path_for(first).read_bytes()
    assert not list(tmp_path.glob("*/.pylock*"))


def test_a_wheel_is_downloaded_once(tmp_path: Path) -> None:
    with SmallIndex(*files()) as index:
        composed(index.url, tmp_path)
        index.fetched.clear()
        composed(index.url, tmp_path)
        assert index.fetched == []


def test_wrong_bytes_end_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SmallIndex(*files()) as index:
        right = index.files[LIBRARY].data
        index.files[LIBRARY].served = right + b"more"
        assert refused(index.url, tmp_path) == 13
        told = capsys.readouterr().err
        assert f"is not what the index says of {LIBRARY}" in told
        assert f"the index: {len(right)} bytes, sha256 {hashlib.sha256(right).hexdigest()}" in told
        assert f"the file: {len(right) + 4} bytes" in told
        index.files[LIBRARY].served = None
        composed(index.url, tmp_path)  # the wrong file is not in the way


def test_a_kept_wheel_is_verified_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SmallIndex(*files()) as index:
        for path in tmp_path.glob(composed(index.url, tmp_path).name.replace(".toml", ".*")):
            path.unlink()
        (tmp_path / "wheels" / PLAIN).write_bytes(b"rotten")
        assert refused(index.url, tmp_path) == 13
    assert f"remove {tmp_path / 'wheels' / PLAIN} and run again" in capsys.readouterr().err


def test_no_index_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening
        assert refused(f"http://127.0.0.1:{nobody.getsockname()[1]}/simple", tmp_path) == 12
    told = capsys.readouterr().err
    assert "/simple/demo/: " in told
    assert "--index URL" in told


@pytest.mark.parametrize(
    ("gone", "told"), [("uploaded", "does not tell upload-time"), ("data", "does not tell size"), ("all", "404")]
)
def test_an_index_that_tells_too_little(
    gone: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SmallIndex(*files()) as index:
        if gone == "all":
            index.files.clear()
        else:
            setattr(index.files[PLAIN], gone, None if gone == "uploaded" else b"")
        assert refused(index.url, tmp_path) == 12
    assert told in capsys.readouterr().err


def test_what_cannot_be_resolved_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SmallIndex(*files()) as index:
        assert refused(index.url, tmp_path, changed('"demo", ', '"demo==2.0", ', SOURCES)) == 10
    told = capsys.readouterr().err
    assert "uv could not resolve demo-1_0 for Python 3.10" in told
    assert "demo==2.0" in told


def test_a_version_serves_neighbouring_pythons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The markers of a lock say from where to where; a hole could not be said."""
    middle = changed("python_version < '3.11'", "python_version == '3.11'", SOURCES)
    with SmallIndex(*files(), File("needed-1.0-py3-none-any.whl"), File("needed-2.0-cp310-none-any.whl")) as index:
        assert refused(index.url, tmp_path, middle) == 10
    assert "needed 2.0 is taken by Python 3.10, 3.12, which is not one range" in capsys.readouterr().err


def test_an_unknown_lock_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("http://127.0.0.1:9/simple", tmp_path, SOURCES, "--only", "demo-9") == 2
    assert "it has demo-1_0" in capsys.readouterr().err


def test_sources_that_ask_for_no_requirement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = changed('"demo", ', '"demo @ file:///x.whl", ', SOURCES)
    assert refused("http://127.0.0.1:9/simple", tmp_path, bad) == 2
    assert "the requirements of demo-1_0: 'demo @ file:///x.whl' names an address" in capsys.readouterr().err


def test_one_lock_alone_is_composed(tmp_path: Path) -> None:
    other = SOURCES[SOURCES.index("[[lock]]") :].replace("demo-1_0", "other")
    with SmallIndex(*files()) as index:
        composed(index.url, tmp_path, SOURCES + other, "--only", "other")
    assert [path.name for path in sorted(tmp_path.glob("pylock.*"))] == [
        "pylock.other.pieces.json",
        "pylock.other.toml",
    ]
