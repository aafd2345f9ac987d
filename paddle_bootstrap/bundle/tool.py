"""The tool in a bundle: its own wheel, made from what is running, and the wheels that it needs, for every Python it runs on."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from paddle_bootstrap.digest import record_hash
from paddle_bootstrap.errors import NoBuildFits, NoMirrorServes, UsageError
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.resolving import environment, tags_of
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.mirrors.redact import redact

PACKAGE = Path(__file__).resolve().parent.parent
NAME = "paddle-bootstrap"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")  # of hosts; those that a needed wheel lacks are left out
GLIBC = "2.28"  # of the oldest host: what a wheel says of itself decides in the end
_SECONDS = 300.0  # for one index
_DATE = (1980, 1, 1, 0, 0, 0)
_GENERATED = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "WHEEL", "uv_cache.json", "uv_build.json")


@dataclass(frozen=True)
class Needs:
    """What the tool needs beside itself."""

    wheels: tuple[Wheel, ...]
    requirements: Mapping[str, str]  # Python -> the text of its requirements file, with hashes; without the tool itself


def own_distribution() -> Distribution:
    try:
        return distribution(NAME)
    except PackageNotFoundError as error:
        hint = "install it: pip install ."
        raise UsageError(f"{NAME} is not installed, so its own wheel cannot be made", hint=hint) from error


def own_wheel() -> tuple[str, bytes]:
    """File name and bytes of a wheel of this very tool, wherever it is installed; the same for the same files."""
    found = own_distribution()
    info = f"{NAME.replace('-', '_')}-{found.version}.dist-info"
    files = dict(_package_files())
    for path in found.files or ():
        if path.parent.name.endswith(".dist-info") or ".dist-info/licenses" in str(path.parent):
            name = str(path).split(".dist-info/", 1)[1]
            if name not in _GENERATED:
                files[f"{info}/{name}"] = path.read_binary()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: py3-none-any\n".encode()
    )
    rows = [f"{name},{record_hash(content)},{len(content)}\n" for name, content in sorted(files.items())]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED  # zlib's output differs between its versions
            archive.writestr(entry, content)
    return f"{NAME.replace('-', '_')}-{found.version}-py3-none-any.whl", buffer.getvalue()


def _package_files() -> Iterator[tuple[str, bytes]]:
    """The package, and the checks inside it, where an installed tool looks for them."""
    for folder, prefix in ((PACKAGE, PACKAGE.name), (built_in_checks(), f"{PACKAGE.name}/checks")):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def needs(like: Interpreter, pythons: Sequence[str], mirrors: Sequence[Mirror], place: Path) -> Needs:
    """The pinned wheels of the tool's dependencies for each of ``pythons`` that has them all.

    Versions are those that run here. ``place``: a folder for uv's lock. Raises NoMirrorServes, NoBuildFits.
    """
    lock = pylock.read(_resolved(mirrors, place / "pylock.tool.toml"))
    wheels: dict[str, Wheel] = {}
    texts, refused = {}, []
    for python in pythons:
        try:
            chosen = pylock.select(lock, _like(like, python)).wheels
        except NoBuildFits as error:
            refused.append(f"Python {python}: {error}")
            continue
        wheels |= {wheel.filename: wheel for wheel in chosen}
        texts[python] = "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in chosen)
    if not texts:
        raise NoBuildFits("the tool's own wheels are not to be had for any Python it runs on", tried=refused)
    return Needs(tuple(wheels.values()), texts)


def _like(interpreter: Interpreter, python: str) -> Interpreter:
    """A CPython ``python`` of this platform: it need not be here."""
    full = f"{python}.0"
    versions = {"python_version": python, "python_full_version": full, "implementation_version": full}
    tags = tuple(str(tag) for tag in tags_of(python, GLIBC))
    return replace(interpreter, version=full, markers={**interpreter.markers, **versions}, tags=tags)


def _resolved(mirrors: Sequence[Mirror], lock: Path) -> Path:
    """The file with uv's lock, by the first index that knows all. Raises NoMirrorServes naming what each said."""
    requirements = [line for line in own_distribution().requires or () if "extra ==" not in line]
    constraints = lock.with_name("constraints.txt")
    constraints.write_text("\n".join(_running(requirements)), encoding="utf-8")
    command = [find_uv_bin(), "pip", "compile", "--no-config", "--no-header", "--quiet", "--universal"]
    command += ["--format", "pylock.toml", "--python", sys.executable, "--python-version", PYTHONS[0]]
    command += ["--constraints", str(constraints), "--output-file", str(lock), "-"]
    tried = []
    for mirror in mirrors:
        if mirror.kind != "simple" or mirror.holds != "pypi":
            continue
        index = mirror.login.in_front_of(mirror.url) if mirror.login else mirror.url
        try:
            done = subprocess.run(
                command,
                input="\n".join(requirements),
                capture_output=True,
                text=True,
                env=environment(index, mirror.certificate),
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            tried.append(f"{mirror.redacted}: no answer in {_SECONDS:g} s")
            continue
        if done.returncode == 0:
            return lock
        said = mirror.login.hidden(done.stderr) if mirror.login else done.stderr
        tried.append(f"{mirror.redacted}: {redact(' '.join(re.sub(r'[^ -~]+', ' ', said).split())[-300:])}")
    raise NoMirrorServes(
        "no index could tell the wheels that the tool itself needs",
        hint="name an index that has every package: --mirror https://HOST/simple",
        tried=tried or ("no index of packages is configured",),
    )


def _running(requirements: Sequence[str]) -> Iterator[str]:
    """``NAME==VERSION`` of whatever the running tool needs and has, and of what that needs."""
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        wanted = Requirement(waiting.pop())
        name = canonicalize_name(wanted.name)
        if name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        yield f"{name}=={found.version}"
        waiting += found.requires or ()
