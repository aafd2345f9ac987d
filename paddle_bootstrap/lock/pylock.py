"""Reads PEP 751 locks, and selects from one the wheels of one interpreter.

A shipped lock names every file bare: no URL, no index. Beside it, ``pylock.NAME.pieces.json`` holds the sha256 of every
4 MiB piece of every wheel, so that bytes can be judged while they arrive.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, cast

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.pylock import Package, PackageWheel, Pylock, PylockSelectError, PylockValidationError
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from paddle_bootstrap import toml
from paddle_bootstrap.errors import DamagedLock, NoBuildFits, UsageError
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock import keys, pieces
from paddle_bootstrap.lock.model import (
    Build,
    Learned,
    Lock,
    Locked,
    Selection,
    Wheel,
    build_from_json,
    learned_from_json,
)

SHIPPED = Path(__file__).parent / "shipped"
TOOL = "paddle-bootstrap"
SCHEMA = 1  # of [tool.paddle-bootstrap]
_BESIDE = ("schema", "learned", "extra")  # in [tool.paddle-bootstrap], beside what it says of the build
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
BARE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")


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


def read(path: Path) -> Lock:
    """The lock at ``path``. Raises DamagedLock, which names what is wrong and where."""
    content, lock = _load(path)
    table = (lock.tool or {}).get(TOOL)
    if table is not None:
        _require_schema(path, table)
    learned, extra = ((), ()) if table is None else _origins(path, table, lock)
    return Lock(
        path=path,
        name=name_of(path),
        build=None if table is None else _build(path, table, lock),
        learned=learned,
        extra=extra,
        sha256=hashlib.sha256(content).hexdigest(),
        default_groups=tuple(lock.default_groups or ()),
    )


def pythons(lock: Lock) -> tuple[str, ...]:
    """The Python versions ("3.11") that the lock has its Paddle wheel for; empty when it is not one of ours."""
    return () if lock.build is None else _pythons(_load(lock.path)[1], lock.build.package)


def packages(lock: Lock) -> tuple[Locked, ...]:
    """Everything in the lock, for whatever interpreter; a package may be there in several versions."""
    return tuple(_locked(package) for package in _load(lock.path)[1].packages)


def _locked(package: Package) -> Locked:
    names = [wheel.filename for wheel in package.wheels or ()]
    version = package.version or next((parse_wheel_filename(name)[1] for name in names), None)
    told = None if version is None else str(version)
    wheels = [
        Wheel(package.name, told or "", wheel.filename, wheel.size, wheel.hashes["sha256"].lower())
        for wheel in package.wheels or ()
    ]
    return Locked(package.name, told, tuple(wheels))


def select(lock: Lock, interpreter: Interpreter, *, groups: Sequence[str] | None = None) -> Selection:
    """The wheels that ``interpreter`` takes; ``groups`` None means the lock's default groups."""
    absent = [name for name in MARKERS if name not in interpreter.markers]
    if absent:  # packaging would silently fill them from the running interpreter
        raise NoBuildFits(f"{interpreter.path} did not tell its markers {', '.join(absent)}")
    content, pylock = _load(lock.path)
    if hashlib.sha256(content).hexdigest() != lock.sha256:
        raise DamagedLock(f"{lock.path} was changed while it was in use", hint="run the command again")
    taken = lock.default_groups if groups is None else tuple(groups)
    wheels = pieces.attach(tuple(_selected(lock, pylock, interpreter, taken)), lock.path)
    return Selection(lock=lock, groups=taken, wheels=wheels)


def _selected(lock: Lock, pylock: Pylock, interpreter: Interpreter, groups: Sequence[str]) -> Iterator[Wheel]:
    tags = [Tag(*tag.split("-", 2)) for tag in interpreter.tags]
    environment = cast("Any", dict(interpreter.markers))
    try:
        for package, source in pylock.select(environment=environment, tags=tags, dependency_groups=groups):
            if not isinstance(source, PackageWheel):
                raise NoBuildFits(
                    f"{lock.path.name}: {package.name} has no wheel for {_told(interpreter)}",
                    hint="only wheels can be fetched and verified as they are; lock a version that has one",
                )
            version = package.version or parse_wheel_filename(source.filename)[1]
            digest = source.hashes["sha256"].lower()
            yield Wheel(package.name, str(version), source.filename, source.size, digest)
    except PylockSelectError as error:
        if rivals := _rivals(pylock, interpreter, groups):
            raise DamagedLock(f"{lock.path}: two versions of {', '.join(rivals)} for {_told(interpreter)}") from error
        raise NoBuildFits(
            f"{lock.path.name} does not fit {_told(interpreter)}: {error}",
            hint="give another --python (a target keeps its own: then a new --env too), or another --lock: this one "
            f"serves {_served(lock, pylock)}"
            + ("; to rehearse without a GPU: --device cpu" if lock.build and lock.build.device == "gpu" else ""),
        ) from error
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise DamagedLock(f"{lock.path}: a marker cannot be judged: {error}") from error


def _rivals(pylock: Pylock, interpreter: Interpreter, groups: Sequence[str]) -> list[str]:
    """Packages that the lock holds more than once for ``interpreter``: it contradicts itself."""
    environment: dict[str, str | AbstractSet[str]] = {**interpreter.markers, "dependency_groups": frozenset(groups)}
    environment["extras"] = frozenset()
    taken = Counter(
        package.name
        for package in pylock.packages
        if package.marker is None or package.marker.evaluate(environment, context="lock_file")
    )
    return [name for name, count in taken.items() if count > 1]


def _served(lock: Lock, pylock: Pylock) -> str:
    build = lock.build
    parts = [
        f"CPython {', '.join(_pythons(pylock, build.package))}" if build else "",
        f"Python {pylock.requires_python}" if pylock.requires_python and not build else "",
        f"glibc {build.glibc} or newer" if build and build.glibc else "",
        f"hosts where {' or '.join(str(marker) for marker in pylock.environments)}" if pylock.environments else "",
    ]
    return "; ".join(part for part in parts if part) or "what its wheels' names say"


def _pythons(pylock: Pylock, package: str) -> tuple[str, ...]:
    wheels = [wheel for found in pylock.packages if found.name == package for wheel in found.wheels or ()]
    interpreters = {tag.interpreter for wheel in wheels for tag in parse_wheel_filename(wheel.filename)[3]}
    minors = {int(name.removeprefix("cp3")) for name in interpreters if re.fullmatch(r"cp3\d+", name)}
    return tuple(f"3.{minor}" for minor in sorted(minors))


def _told(interpreter: Interpreter) -> str:
    where = f"{interpreter.markers['sys_platform']} {interpreter.markers['platform_machine']}"
    return f"{interpreter.implementation} {interpreter.version} on {where} ({interpreter.path})"


def _load(path: Path) -> tuple[bytes, Pylock]:
    """The lock's bytes, and what they say. Raises DamagedLock."""
    try:
        content = path.read_bytes()
        data = toml.loads(content.decode("utf-8"))
        lock = Pylock.from_dict(data)
    except OSError as error:
        raise DamagedLock(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise DamagedLock(f"{path}: not TOML: {error}") from error
    except PylockValidationError as error:
        raise DamagedLock(f"{path}: not a PEP 751 lock: {error}") from error
    ours = TOOL in (lock.tool or {})
    keys.judge(path, data, ours=ours)
    found: dict[str, str] = {}
    for package in lock.packages:
        for wheel in package.wheels or ():
            if problem := _problem(package, wheel, ours=ours):
                raise DamagedLock(f"{path}: {wheel.filename!r} {problem}")
            digest = wheel.hashes["sha256"].lower()
            if wheel.filename in found and (ours or found[wheel.filename] != digest):
                raise DamagedLock(f"{path}: {wheel.filename} is there twice")
            found[wheel.filename] = digest
    return content, lock


def _problem(package: Package, wheel: PackageWheel, *, ours: bool) -> str | None:
    """What is wrong with a lock's row; ``ours``: files are found by name on a mirror, so nothing else may be named."""
    if not BARE_NAME.fullmatch(wheel.filename):
        return "is not a bare file name"  # it becomes a name in the store
    if "sha256" not in wheel.hashes:
        return "has no sha256"
    if not pieces.HEX.fullmatch(wheel.hashes["sha256"].lower()):
        return "has a sha256 that is not 64 hex digits"
    if wheel.size is not None and wheel.size <= 0:
        return f"has size {wheel.size}"
    if not ours:
        return None
    if wheel.size is None:
        return "has no size"
    if wheel.path != wheel.filename or wheel.url:
        return f"has another place than its bare file name: {wheel.url or wheel.path}"
    if package.version is None or package.sdist:
        return "stands in a package without version, or with an sdist"
    return None


def _require_schema(path: Path, table: Any) -> None:
    where = f"{path}: [tool.{TOOL}]"
    if not isinstance(table, dict):
        raise DamagedLock(f"{where} is not a table")
    if (schema := table.get("schema")) != SCHEMA:
        raise DamagedLock(f"{where} has schema {schema}, this version reads {SCHEMA}", hint="update paddle-bootstrap")


def _origins(path: Path, table: Mapping[str, Any], lock: Pylock) -> tuple[tuple[Learned, ...], tuple[str, ...]]:
    """Whose word the lock took for which file, and what it holds beside Paddle."""
    where = f"{path}: [tool.{TOOL}]"
    rows, extra = table.get("learned", []), table.get("extra", [])
    if not isinstance(extra, list) or not all(isinstance(item, str) for item in extra):
        raise DamagedLock(f"{where}: extra = {extra!r} is not a list of strings")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DamagedLock(f"{where}: learned is not a list of tables")
    try:
        learned = tuple(map(learned_from_json, rows))
    except ValueError as error:
        raise DamagedLock(f"{where}: learned: {error}") from error
    held = {wheel.filename for package in lock.packages for wheel in package.wheels or ()}
    if strange := [row.file for row in learned if row.file not in held]:
        raise DamagedLock(f"{where}: learned is about {', '.join(strange)}, which the lock does not hold")
    return learned, tuple(extra)


def _build(path: Path, table: Any, lock: Pylock) -> Build:
    where = f"{path}: [tool.{TOOL}]"
    try:
        build = build_from_json({key: value for key, value in table.items() if key not in _BESIDE})
    except ValueError as error:
        raise DamagedLock(f"{where} cannot be read: {error}") from error
    if (build.package, build.version) not in {(package.name, str(package.version)) for package in lock.packages}:
        raise DamagedLock(f"{where} is about {build.package} {build.version}, which the lock does not hold")
    if build.libraries and build.libraries.group not in (lock.dependency_groups or ()):
        raise DamagedLock(
            f"{where} wants its libraries from group {build.libraries.group}, which the lock does not have"
        )
    return build
