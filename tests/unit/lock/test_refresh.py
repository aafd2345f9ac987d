"""`make releases` against a real index on loopback: what it puts right, what it shows, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddle_bootstrap.lock import refresh
from paddle_bootstrap.releases import support
from tests.fakes.mirror import FakeMirror

TABLE = """# kept as it is
[[release]]
version = "3.3.1"
build = "cpu"
device = "cpu"
package = "paddlepaddle"
pythons = ["3.9"]    # a comment
served = "pypi"
file_tag = "manylinux1_x86_64"
cpu_flags = ["avx"]
lock = "cpu-3_3_1"
source = "PyPI"

[[release]]
version = "3.1.0"
build = "cpu"
device = "cpu"
package = "paddlepaddle"
pythons = ["3.9"]
served = "pypi"
file_tag = "manylinux1_x86_64"
cpu_flags = ["avx"]
source = "PyPI"

[[release]]
version = "3.3.1"
build = "cu126"
device = "gpu"
package = "paddlepaddle-gpu"
pythons = ["3.9"]
served = "paddle"
file_tag = "linux_x86_64"
cuda = "12.6"
cudnn = "9.5"
min_driver = "525.60.13"
cpu_flags = ["avx"]
libraries = "dependencies"
code = [{ sm = [80, 90], mark = "reported", source = "x" }]
source = "x"
"""
README = f"# Title\n\n{support.BEGIN}| a | b |\n|---|---|\n| old | row |\n{support.END}\nAfter.\n"


def index(name: str, sizes: dict[str, int]) -> tuple[str, bytes]:
    files = [
        {"filename": file, "url": f"/{file}", "size": size, "hashes": {"sha256": "0" * 64}}
        for file, size in sizes.items()
    ]
    return "application/vnd.pypi.simple.v1+json", json.dumps({"name": name, "files": files}).encode()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    table, readme = tmp_path / "releases.toml", tmp_path / "README.md"
    table.write_text(TABLE)
    readme.write_text(README)
    return table, readme


def run(files: tuple[Path, Path], *words: str) -> int:
    served = {
        "paddlepaddle-3.3.1-cp39-cp39-manylinux1_x86_64.whl": 5,
        "paddlepaddle-3.3.1-cp310-cp310-manylinux1_x86_64.whl": 6,
        "paddlepaddle-3.3.1-cp310-cp310-win_amd64.whl": 7,
        "paddlepaddle-3.5.0-cp310-cp310-manylinux1_x86_64.whl": 8,
        "paddlepaddle-3.6.0rc1-cp310-cp310-manylinux1_x86_64.whl": 8,
        "paddlepaddle-1.0.0-cp310-cp310-manylinux1_x86_64.whl": 8,
        "not a wheel.whl": 1,
    }
    table, readme = files
    with FakeMirror({}, page_body=index("paddlepaddle", served)) as mirror, pytest.raises(SystemExit) as left:
        refresh.main(["--index", mirror.url, "--table", str(table), "--readme", str(readme), *words])
    code = left.value.code
    assert isinstance(code, int)
    return code


def test_what_the_index_tells_is_put_right_and_shown(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files) == 0
    said = capsys.readouterr()
    table, readme = files[0].read_text(), files[1].read_text()
    assert table.startswith("# kept as it is\n")
    assert 'pythons = ["3.9", "3.10"]    # a comment\n' in table
    assert 'sizes = {"3.9" = 5, "3.10" = 6}\n' in table
    assert 'served = "nowhere"\n' in table
    assert 'note = "gone from PyPI"\n' in table
    assert table.count('served = "paddle"') == 1
    assert '-pythons = ["3.9"]    # a comment\n+pythons = ["3.9", "3.10"]    # a comment\n' in said.out
    assert said.err == "not in the table: paddlepaddle 3.5.0, for Python 3.10\n"
    assert readme.splitlines()[3:7] == [
        "| a | b |",
        "|---|---|",
        "| 3.3.1 cu126 | 3.9-3.9 | 8.0 9.0 |  | 525.60.13 |  |  |",
        "| 3.3.1 cpu | 3.9-3.10 |  |  |  |  | `cpu-3_3_1` |",
    ]
    assert readme.endswith(f"{support.END}\nAfter.\n")
    assert run(files) == 0
    assert capsys.readouterr().out == ""  # nothing is left to do


def test_check_writes_nothing(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--check") == 1
    assert files[0].read_text() == TABLE
    assert "+++ b/releases.toml" in capsys.readouterr().out
    run(files)
    assert run(files, "--check") == 0


def test_an_index_that_is_none(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with FakeMirror({}, empty_pages=True) as mirror, pytest.raises(SystemExit) as left:
        refresh.main(["--index", mirror.url, "--table", str(files[0]), "--readme", str(files[1])])
    assert left.value.code == 12
    assert files[0].read_text() == TABLE
    assert "error: " in capsys.readouterr().err
