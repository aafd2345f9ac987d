"""Reads PEP 751 locks, and selects from one the wheels of one interpreter.

A shipped lock names every file bare: no URL, no index. Beside it, ``pylock.NAME.pieces.json`` holds the sha256 of every
4 MiB piece of every wheel, so that bytes can be judged while they arrive.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from packaging.pylock import PackageWheel, Pylock, PylockSelectError, PylockUnsupportedVersionError, PylockValidationError
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from paddle_bootstrap.errors import DamagedLock, NoBuildFits, UsageError
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.model import Build, Device, Lock, Selection, Wheel, build_from_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "shipped"
TOOL = "paddle-bootstrap"
SCHEMA = 1  # of [tool.paddle-bootstrap]
MARKERS = (
    "implementation_name",
    "implementation_version",
    "os_name",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_full_version",
    "python_version",
    "sys_platform",
)


def shipped() -> tuple[Path, ...]:
    """The locks that come with the tool, by name."""
    return tuple(sorted(SHIPPED.glob("pylock.*.toml")))


def name_of(path: Path) -> str:
    """NAME of ``pylock.NAME.toml``, else the file's stem."""
    return path.name.removesuffix(".toml").removeprefix("pylock.") or path.stem


def find(wanted: str) -> Path:
    """The lock file meant by ``wanted``: a shipped lock's name, or a path."""
    by_name = {name_of(path): path for path in shipped()}
    if wanted in by_name:
        return by_name[wanted]
    path = Path(wanted)
    if path.is_file():
        return path
    raise UsageError(
        f"no such lock: {wanted}",
        tried=(f"a file {path.absolute()}", *(f"shipped lock {name}" for name in by_name)),
        hint=f"give a pylock file, or one of {', '.join(by_name)}",
    )


def for_version(version: str | None, device: Device) -> Path:
    """The shipped lock of ``device`` that holds Paddle ``version``; None: the newest. Raises NoBuildFits listing all."""
    builds = [(path, build) for path in shipped() if (build := read(path).build)]
    fitting = [(path, build) for path, build in builds if build.device == device and version in (None, build.version)]
    if fitting:
        return max(fitting, key=lambda pair: tuple(int(part) for part in pair[1].version.split(".")))[0]
    raise NoBuildFits(
        f"no shipped lock holds Paddle {version} for {device}",
        tried=[f"{build.id}: {build.package} {build.version}, {build.device}" for _, build in builds],
        hint="give one of these versions to --paddle, or a lock of your own with --lock FILE",
    )


def read(path: Path) -> Lock:
    """The lock at ``path``. Raises DamagedLock, which names what is wrong and where."""
    data, content = _load(path)
    lock = _parse(path, data)
    table = (lock.tool or {}).get(TOOL)
    build = None if table is None else _build(path, table)
    return Lock(
        path=path,
        name=name_of(path),
        build=build,
        sha256=hashlib.sha256(content).hexdigest(),
        default_groups=tuple(lock.default_groups or ()),
    )


def pythons(lock: Lock) -> tuple[str, ...]:
    """The Python versions ("3.11") that the lock has its Paddle wheel for; empty when it is not one of ours."""
    if lock.build is None:
        return ()
    names = [
        wheel.filename
        for package in _open(lock.path).packages
        if package.name == lock.build.package
        for wheel in package.wheels or ()
    ]
    minors = {tag.interpreter.removeprefix("cp3") for name in names for tag in parse_wheel_filename(name)[3]}
    return tuple(f"3.{minor}" for minor in sorted(minors, key=int))


def select(lock: Lock, interpreter: Interpreter, *, groups: Sequence[str] | None = None) -> Selection:
    """The wheels that ``interpreter`` takes; ``groups`` None means the lock's default groups."""
    absent = [name for name in MARKERS if name not in interpreter.markers]
    if absent:  # packaging would silently fill them from the running interpreter
        raise NoBuildFits(f"{interpreter.path} did not tell its markers {', '.join(absent)}")
    taken = lock.default_groups if groups is None else tuple(groups)
    wheels = tuple(_selected(lock, interpreter, taken))
    digests = pieces.read(lock.path)
    return Selection(lock=lock, groups=taken, wheels=tuple(pieces.attach(wheel, digests, lock.path) for wheel in wheels))


def _selected(lock: Lock, interpreter: Interpreter, groups: Sequence[str]) -> Iterator[Wheel]:
    tags = [Tag(*tag.split("-", 2)) for tag in interpreter.tags]
    environment = cast("Any", dict(interpreter.markers))
    try:
        for package, source in _open(lock.path).select(environment=environment, tags=tags, dependency_groups=groups):
            if not isinstance(source, PackageWheel):
                raise NoBuildFits(
                    f"{lock.path.name}: {package.name} has no wheel for {_told(interpreter)}",
                    hint="only wheels can be fetched and verified as they are; lock a version that has one",
                )
            yield _wheel(lock.path, package.name, str(package.version), source)
    except PylockSelectError as error:
        served = pythons(lock)
        serves = f"it serves CPython {', '.join(served)} on Linux x86-64" if served else "see its environments and wheels"
        raise NoBuildFits(
            f"{lock.path.name} does not fit {_told(interpreter)}: {error}", hint=f"choose another --python: {serves}"
        ) from error


def _told(interpreter: Interpreter) -> str:
    where = f"{interpreter.markers['sys_platform']} {interpreter.markers['platform_machine']}"
    return f"{interpreter.implementation} {interpreter.version} on {where} ({interpreter.path})"


def _wheel(path: Path, name: str, version: str, source: PackageWheel) -> Wheel:
    digest = source.hashes.get("sha256")
    if digest is None:
        raise DamagedLock(f"{path}: {source.filename} has no sha256")
    if source.size is None and path.parent == SHIPPED:
        raise DamagedLock(f"{path}: {source.filename} has no size")
    return Wheel(name=name, version=version, filename=source.filename, size=source.size, sha256=digest.lower())


def _load(path: Path) -> tuple[Mapping[str, Any], bytes]:
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8")), content
    except OSError as error:
        raise DamagedLock(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DamagedLock(f"{path}: not TOML: {error}") from error


def _parse(path: Path, data: Mapping[str, Any]) -> Pylock:
    try:
        lock = Pylock.from_dict(data)
    except (PylockValidationError, PylockUnsupportedVersionError) as error:
        raise DamagedLock(f"{path}: not a PEP 751 lock: {error}") from error
    for package in lock.packages:
        for wheel in package.wheels or ():
            if "sha256" not in wheel.hashes:
                raise DamagedLock(f"{path}: {wheel.filename} has no sha256")
    return lock


def _open(path: Path) -> Pylock:
    return _parse(path, _load(path)[0])


def _build(path: Path, table: Any) -> Build:
    try:
        if table["schema"] != SCHEMA:
            raise DamagedLock(
                f"{path}: [tool.{TOOL}] has schema {table['schema']}, this version reads {SCHEMA}",
                hint="update paddle-bootstrap",
            )
        return build_from_json({key: value for key, value in table.items() if key != "schema"})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedLock(f"{path}: [tool.{TOOL}] cannot be read: {type(error).__name__}: {error}") from error


def describe(lock: Lock) -> dict[str, Any]:
    """The lock as plain JSON data, for results and receipts."""
    return {"name": lock.name, "sha256": lock.sha256, "build": lock.build and dataclasses.asdict(lock.build)}
