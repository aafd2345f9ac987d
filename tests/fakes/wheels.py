"""Tiny real wheels, a lock for them, and a store that holds them: an installation that takes a second."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.install import kept


@dataclass(frozen=True)
class FakeWheel:
    """A wheel file and what a lock says of it."""

    name: str
    version: str
    path: Path
    group: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def library(soname: str) -> bytes:
    """The smallest ELF file with a SONAME: one PT_LOAD over everything, one PT_DYNAMIC of three entries."""
    strings = b"\0" + soname.encode() + b"\0"
    dynamic_at = 64 + 2 * 56
    strings_at = dynamic_at + 3 * 16
    size = strings_at + len(strings)
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    dynamic = struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, dynamic_at, dynamic_at, 48, 48, 8)
    entries = struct.pack("<QQQQQQ", 5, strings_at, 14, 1, 0, 0)
    return header + load + dynamic + entries + strings


def build(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes],
    *,
    scripts: Mapping[str, str] | None = None,
    group: str | None = None,
) -> FakeWheel:
    """Write ``NAME-VERSION-py3-none-any.whl``; ``scripts``: command -> module:function."""
    folder.mkdir(parents=True, exist_ok=True)
    distribution = name.replace("-", "_")
    info = f"{distribution}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        points = "".join(f"{command} = {place}\n" for command, place in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{points}"
    path = folder / f"{distribution}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        rows = [
            _add(archive, file, data if isinstance(data, bytes) else data.encode()) for file, data in content.items()
        ]
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "".join([*rows, f"{info}/RECORD,,\n"]))
    return FakeWheel(name, version, path, group)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> str:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


BODY = "__version__ = {version!r}\nEDITION = {edition!r}\n\n\ndef fail():\n    raise RuntimeError('from paddle')\n"


def gpu_set(folder: Path, edition: str = "one", version: str = "2.6.2") -> tuple[FakeWheel, ...]:
    """A GPU build, what it depends on, and two NVIDIA wheels. ``edition`` stands in every package."""
    paddle: dict[str, str | bytes] = {
        "paddle/__init__.py": BODY.format(version=version, edition=edition),
        "paddle/nn/deep.py": "def fail():\n    raise RuntimeError('from deep')\n",
        "paddle/libs/libphi.so": library("libphi.so"),
        "paddle/libs/libown.so.1": library("libown.so.1"),
    }
    companion = {"astor/__init__.py": f"EDITION = {edition!r}\n\n\ndef main():\n    print('astor', EDITION)\n"}
    cudnn: dict[str, str | bytes] = {
        "nvidia/cudnn/lib/libcudnn.so.8": library("libcudnn.so.8"),
        "nvidia/cudnn/__init__.py": "",
    }
    cublas = {f"nvidia/cublas/lib/lib{name}.so.11": library(f"lib{name}.so.11") for name in ("cublas", "cublasLt")}
    own = {"nvidia/own/lib/libown.so.1": library("libown.so.1")}
    return (
        build(folder, "paddlepaddle-gpu", version, paddle),
        build(folder, "astor", "0.8.1", companion, scripts={"astor": "astor:main"}),
        build(folder, "nvidia-cudnn-cu11", "8.9.6.50", {**cudnn, **own}, group="cuda"),
        build(folder, "nvidia-cublas-cu11", "11.11.3.6", cublas, group="cuda"),
    )


def cpu_set(folder: Path, edition: str = "cpu") -> tuple[FakeWheel, ...]:
    """A CPU build: the same folder paddle/, another distribution."""
    paddle = {
        "paddle/__init__.py": BODY.format(version="3.3.1", edition=edition) + "CPU = True\n",
        "paddle/only_cpu.py": "",
    }
    companion = {"astor/__init__.py": f"EDITION = {edition!r}\n"}
    return build(folder, "paddlepaddle", "3.3.1", paddle), build(folder, "astor", "0.9.0", companion)


NEEDS = {"libcudnn.so": "8", "libcublas.so": "11", "libcublasLt.so": "11"}


def write_lock(path: Path, wheels: Sequence[FakeWheel], *, unpacked_bytes: int = 100_000) -> Path:
    """``pylock.NAME.toml`` for ``wheels``; the first is the Paddle build."""
    paddle = wheels[0]
    gpu = paddle.name == "paddlepaddle-gpu"
    groups = sorted({wheel.group for wheel in wheels if wheel.group})
    lines = ['lock-version = "1.0"', 'requires-python = ">=3.8"', 'created-by = "fake"']
    lines += [f"dependency-groups = {json.dumps(groups)}", f"default-groups = {json.dumps(groups)}"] if groups else []
    for wheel in wheels:
        lines += _package(wheel)
    table = {
        "schema": 1,
        "id": path.name.removeprefix("pylock.").removesuffix(".toml"),
        "package": paddle.name,
        "version": paddle.version,
        "device": "gpu" if gpu else "cpu",
        "sass": [80] if gpu else [],
        "ptx": [],
        "cpu_flags": [],
        "unpacked_bytes": unpacked_bytes,
    }
    lines += ["", "[tool.paddle-bootstrap]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    if groups:
        lines += ["", "[tool.paddle-bootstrap.libraries]", f"group = {json.dumps(groups[0])}", "link = true"]
        lines += ["", "[tool.paddle-bootstrap.libraries.needs]"]
        lines += [f'"{name}" = "{major}"' for name, major in NEEDS.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def _package(wheel: FakeWheel) -> list[str]:
    name = json.dumps(wheel.path.name)
    marker = [f"marker = \"'{wheel.group}' in dependency_groups\""] if wheel.group else []
    size = wheel.path.stat().st_size
    row = f'wheels = [{{ name = {name}, path = {name}, size = {size}, hashes = {{ sha256 = "{wheel.sha256}" }} }}]'
    return ["", "[[packages]]", f'name = "{wheel.name}"', f'version = "{wheel.version}"', *marker, row]


def fill(store: Store, wheels: Iterable[FakeWheel]) -> None:
    """Put ``wheels`` into ``store`` as a verified download would."""
    for wheel in wheels:
        place = store.path(wheel.sha256, wheel.path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(wheel.path.read_bytes())


class Provisioning:
    """Three locks, a store that holds their wheels, and the command line that installs them into ``env``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = root / "env"
        self.store = Store(root / "store")
        self.sets = {
            "one": gpu_set(root / "wheels-one", "one"),
            "two": gpu_set(root / "wheels-two", "two"),
            "cpu": cpu_set(root / "wheels-cpu"),
        }
        for name, wheels in self.sets.items():
            write_lock(self.lock(name), wheels)
            fill(self.store, wheels)

    def lock(self, name: str) -> Path:
        return self.root / f"pylock.{name}.toml"

    def command(self, lock: str, *more: str, env: Path | None = None) -> list[str]:
        """``install`` of a lock with the Python that runs the tests, into a new target or one of that Python."""
        places = ["--lock", str(self.lock(lock)), "--env", str(env or self.env), "--store", str(self.store.root)]
        return [sys.executable, "-m", "paddle_bootstrap", "install", *places, *more]

    def install(
        self, lock: str, *more: str, env: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        python = () if "--python" in more else ("--python", sys.executable)
        return subprocess.run(
            self.command(lock, *python, *more, env=env),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env={**os.environ, "HOME": str(self.root), **(environ or {})},
            timeout=60,
        )

    def edition(self, env: Path | None = None) -> tuple[str, ...]:
        """What the target's own Python sees: the edition of each package, and where NVIDIA's library is found."""
        code = (
            "import astor, os, paddle; print(paddle.EDITION, astor.EDITION);"
            "print(os.path.exists(os.path.join(os.path.dirname(paddle.__file__), 'libs', 'libcudnn.so')))"
        )
        python = (env or self.env) / "bin" / "python"
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
        return tuple(done.stdout.split())

    def site_packages(self, env: Path | None = None) -> Path:
        return next((env or self.env).glob("lib/python3.*/site-packages"))

    def beside(self) -> set[str]:
        """What a run left beside the target: neither its lock nor its kept state."""
        known = {f".{self.env.name}.paddle-bootstrap.lock", getattr(kept.read(self.env), "name", "")}
        return {path.name for path in self.root.glob(".*")} - known


ONE, TWO, CPU = ("one", "one", "True"), ("two", "two", "True"), ("cpu", "cpu", "False")


def untrue_rows(site_packages: Path) -> list[str]:
    """Rows of all RECORDs that do not tell the truth about their file."""
    wrong = []
    for record in sorted(site_packages.glob("*.dist-info/RECORD")):
        for row in csv.reader(record.read_text().splitlines()):
            path = site_packages / row[0]
            digest = (
                base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
                if path.is_file()
                else ""
            )
            if not path.exists() and not path.is_symlink():
                wrong.append(f"{row[0]} is missing")
            elif row[1] and (row[1], int(row[2])) != (f"sha256={digest}", path.stat().st_size):
                wrong.append(f"{row[0]} differs")
    return wrong


def digests(tree: Path) -> dict[str, tuple[int, str]]:
    """Inode and content of every file in ``tree``."""
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {
        str(path.relative_to(tree)): (path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }
