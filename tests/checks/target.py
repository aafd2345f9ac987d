"""A target that is made in a moment: a real environment with a Paddle that says what it is told to say."""

from __future__ import annotations

import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paddle_bootstrap.lock.model import Wheel

PADDLE = """
__version__ = {version!r}

def is_compiled_with_cuda():
    return {compiled!r}

class version:
    cuda = staticmethod(lambda: {cuda!r})
    cudnn = staticmethod(lambda: {cudnn!r})

class device:
    get_cudnn_version = staticmethod(lambda: {finds!r})
"""


@dataclass(frozen=True)
class FakeTarget:
    """An environment below ``env``."""

    env: Path

    @property
    def packages(self) -> Path:
        return next(self.env.glob("lib/python3.*/site-packages"))

    def put(self, path: str, content: str | bytes) -> Path:
        """Write one file into site-packages."""
        file = self.packages / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def distribution(self, name: str, version: str, files: Mapping[str, str | bytes]) -> Wheel:
        """Install ``files`` as a distribution with a RECORD; returns what a lock says of it."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        rows = [f"{path},sha256=unread,{self.put(path, content).stat().st_size}\n" for path, content in files.items()]
        self.put(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))
        return Wheel(name, version, f"{name}.whl", 1, "0" * 64)

    def paddle(
        self,
        version: str = "2.6.2",
        *,
        name: str = "paddlepaddle-gpu",
        cuda: str = "11.8",
        cudnn: str = "8.6.0",
        finds: int | None = 8906,
    ) -> Wheel:
        """Install a Paddle; ``finds`` is the cuDNN that it finds."""
        compiled = cuda != "False"
        source = PADDLE.format(version=version, compiled=compiled, cuda=cuda, cudnn=cudnn, finds=finds)
        return self.distribution(name, version, {"paddle/__init__.py": source})

    def cuda_libraries(self, names: Sequence[str]) -> tuple[str, ...]:
        """Libraries of NVIDIA's wheels, linked into paddle/libs under unversioned names; returns the receipt's links."""
        links = []
        for name in names:
            library = self.put(f"nvidia/demo/lib/{name}.8", shared_library())
            link = self.packages / "paddle" / "libs" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path("../..") / library.relative_to(self.packages))
            links.append(str(link.relative_to(self.env)))
        return tuple(links)


def make(env: Path) -> FakeTarget:
    venv.create(env, symlinks=True)
    return FakeTarget(env)


@cache
def shared_library() -> bytes:
    """A library that loads and does nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "lib.so"
        subprocess.run(["cc", "-shared", "-nostdlib", "-x", "c", "/dev/null", "-o", str(made)], check=True)
        return made.read_bytes()
