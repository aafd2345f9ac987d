"""A project's folder beside Paddle's hosts and a package index, all on loopback and over TLS that is checked."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddle_bootstrap.cli import run
from tests.fakes.paddle_index import PaddleIndex, table
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name, gpu_wheel
from tests.unit.lock.small_index import File, SmallIndex

NAME = gpu_name()
DATA = gpu_wheel(filling=hashlib.shake_256(b"paddle").digest(5 << 20))  # two pieces
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
        return self._run("lock", *words)

    def plan(self, *words: str) -> int:
        """``plan`` in the same folder: what a later run makes of the project's lock."""
        return self._run("plan", *words)

    def _run(self, *words: str) -> int:
        code = run(list(words))
        said = self.capsys.readouterr()
        self.err, self.out = said.err, said.out
        return code

    @property
    def written(self) -> Path:
        return self.folder / "pylock.paddle.toml"


@contextlib.contextmanager
def desk_in(
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
