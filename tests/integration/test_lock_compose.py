"""``lock`` against Paddle's index as it is known to be, rebuilt on loopback, over TLS that is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddle_bootstrap.cli import run
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock import pylock
from tests.fakes.certificate import issued
from tests.fakes.paddle_index import PaddleIndex, table
from tests.unit.lock.cpython import cpython
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name, gpu_wheel
from tests.unit.lock.small_index import File, SmallIndex

NAME = gpu_name()
DATA = gpu_wheel(filling=hashlib.shake_256(b"paddle").digest(6 << 20))  # two pieces
NVTX = "nvidia_nvtx_cu12-12.6.77-py3-none-manylinux2014_x86_64.whl"
REST = ("numpy-2.2.6-py3-none-any.whl", "setuptools-75.8.0-py3-none-any.whl", NVTX)


@dataclass
class Desk:
    """A project's folder, the command line in it, and what that has said."""

    folder: Path
    certificate: Path
    paddle: PaddleIndex
    pypi: SmallIndex
    capsys: pytest.CaptureFixture[str]
    err: str = ""
    out: str = ""

    def settings(self, more: str = "", *, origin: bool = True) -> None:
        tables = self.paddle.settings(self.certificate, origin=origin) + table(
            "official", self.pypi.url, self.certificate
        )
        (self.folder / "paddle-bootstrap.toml").write_text(more + tables)

    def lock(self, *words: str, build: str = "cu126", paddle: str = "3.3.1") -> int:
        named = ["--mirror", "paddle-cdn", "--mirror", "official"]
        return self.run("--paddle", paddle, "--build", build, "--python", PYTHON, *named, *words)

    def run(self, *words: str) -> int:
        code = run(["lock", *words])
        said = self.capsys.readouterr()
        self.err, self.out = said.err, said.out
        return code

    @property
    def written(self) -> Path:
        return self.folder / "pylock.paddle.toml"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's, and the authority that issued it."""
    return issued(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def desk(
    tmp_path: Path, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    folders = {"cu126": {NAME: DATA, gpu_name(package="paddlepaddle"): b"CPU"}, "cu129": {NAME: b"another"}}
    server, authority = certificates
    with PaddleIndex(folders, server) as paddle, SmallIndex(*map(File, REST), tls=server) as pypi:
        desk = Desk(folder, authority, paddle, pypi, capsys)
        desk.settings()
        yield desk


def test_a_lock_is_composed_from_metadata_that_was_read_by_ranges(desk: Desk, tmp_path: Path) -> None:
    assert desk.lock() == 0, desk.err
    lock = pylock.read(desk.written)
    selection = pylock.select(lock, cpython(PYTHON))
    assert {wheel.filename for wheel in selection.wheels} == {NAME, *REST}
    paddle = next(wheel for wheel in selection.wheels if wheel.filename == NAME)
    assert (paddle.sha256, paddle.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert all(wheel.pieces for wheel in selection.wheels)
    store = Store(tmp_path / "xdg-cache" / "paddle-bootstrap")
    assert all(store.has(wheel) for wheel in selection.wheels)
    assert [
        wheel.filename for wheel in pylock.select(lock, cpython(PYTHON), groups=()).wheels if "nvidia" in wheel.name
    ] == []
