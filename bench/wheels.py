"""The real wheels: pinned by a shipped lock, fetched once by the tool itself, then served from the same file."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock import pieces, pylock
from paddle_bootstrap.lock.model import Wheel

LOCK = "gpu-2_6_2-cu118"
BLOCK = 1 << 20


@dataclass(frozen=True)
class RealWheel:
    """A row of the shipped lock, with its piece digests, and the file."""

    wheel: Wheel
    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def site(self, folder: Path) -> Path:
        """A PyPI-like site in ``folder``: the index page with the hash, and the file."""
        page = folder / "simple" / self.wheel.name / "index.html"
        page.parent.mkdir(parents=True)
        (folder / "files").mkdir()
        name = self.wheel.filename
        page.write_text(f'<!DOCTYPE html><a href="../../files/{name}#sha256={self.wheel.sha256}">{name}</a>')
        (folder / "files" / name).symlink_to(self.path.resolve())
        return folder

    def lock(self, folder: Path) -> Path:
        """A lock of this wheel alone, with its piece digests beside it."""
        return write_lock(self.wheel, folder)

    def requirements(self, folder: Path) -> Path:
        """The same for pip and uv."""
        path = folder / "requirements.txt"
        path.write_text(f"{self.wheel.name}=={self.wheel.version} --hash=sha256:{self.wheel.sha256}\n")
        return path

    def wrong_in(self, packages: Path) -> str | None:
        """The first file under site-packages that is not as the wheel has it; None: all are right."""
        for path, crc in self._contents():
            if not (packages / path).is_file():
                return f"{path} is missing"
            if _crc(packages / path) != crc:
                return f"{path} is wrong"
        return None

    def _contents(self) -> Iterator[tuple[str, int]]:
        """Path below site-packages and CRC of every file whose bytes an installer keeps."""
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                top, _, rest = member.filename.partition("/")
                kind, _, inside = rest.partition("/")
                if top.endswith(".data"):
                    if kind in ("purelib", "platlib") and not member.is_dir():
                        yield inside, member.CRC
                elif not member.is_dir() and rest != "RECORD":
                    yield member.filename, member.CRC


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def write_lock(wheel: Wheel, folder: Path) -> Path:
    path = folder / "pylock.bench.toml"
    row = {"name": wheel.filename, "path": wheel.filename, "size": wheel.size}
    inside = ", ".join(f"{key} = {json.dumps(value)}" for key, value in row.items())
    path.write_text(
        'lock-version = "1.0"\ncreated-by = "bench"\n\n[[packages]]\n'
        f'name = "{wheel.name}"\nversion = "{wheel.version}"\n'
        f'wheels = [{{ {inside}, hashes = {{ sha256 = "{wheel.sha256}" }} }}]\n'
    )
    pieces.path_for(path).write_text(pieces.render({wheel.filename: wheel.pieces}))
    return path


def real_wheel(name: str, interpreter: Interpreter, store: Path, folder: Path) -> RealWheel:
    """The wheel of the shipped lock's package ``name`` for ``interpreter``, fetched into ``store`` unless it is there."""
    lock = pylock.read(pylock.find(LOCK))
    selection = pylock.select(lock, interpreter)
    found = {wheel.name: wheel for wheel in selection.wheels}
    if name not in found:
        raise SystemExit(f"--wheel {name}: not in lock {LOCK}, which holds {', '.join(sorted(found))}")
    wheel = found[name]
    if (path := Store(store).has(wheel)) is None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "paddle_bootstrap", "fetch", "--lock", str(write_lock(wheel, folder))]
        command += ["--store", str(store), "--python", interpreter.path]
        subprocess.run(command, check=True, stdout=sys.stderr)
        path = Store(store).has(wheel)
    assert path, f"fetch said 0, and {wheel.filename} is not in {store}"
    return RealWheel(wheel, path)
