"""Making a bundle of a lock, its wheels and the tool itself."""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from packaging.utils import parse_wheel_filename

from paddle_bootstrap import __version__, progress
from paddle_bootstrap.bundle import opening, start, tool, writing
from paddle_bootstrap.bundle.opening import Opened
from paddle_bootstrap.bundle.reading import may_name
from paddle_bootstrap.bundle.signing import sign
from paddle_bootstrap.bundle.writing import Part
from paddle_bootstrap.errors import NoInterpreter, UsageError
from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.harness.session import require_checks
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.model import Lock, Wheel
from paddle_bootstrap.lock.resolving import MANYLINUX
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.plan import Plan, plan_fetch
from paddle_bootstrap.stages.provision import fetch_wheels
from paddle_bootstrap.stages.wish import Wish

_OLDEST = MANYLINUX["manylinux2014"]  # minor of glibc: no wheel of the tool's runs on an older one


@dataclass(frozen=True)
class Order:
    """What a bundle shall hold beside the lock that the wish names, and how it is written."""

    output: Path
    checks: tuple[Path, ...] = ()
    interpreter: Path | None = None
    split: int | None = None  # bytes
    sign_key: Path | None = None


def create(wish: Wish, order: Order) -> tuple[Path, ...]:
    """Fetch what is missing and write the bundle; returns its files. Equal input gives equal bytes."""
    require_checks(order.checks)
    if order.sign_key and not order.sign_key.is_file():  # told before gigabytes are fetched
        raise UsageError(
            f"the signing key {order.sign_key} is not there", hint="give an SSH or minisign key: --sign-key FILE"
        )
    checks = _plainly_named("--checks", _check_parts(order.checks))
    interpreters = _plainly_named("--interpreter", _interpreter_parts(order.interpreter))
    with tempfile.TemporaryDirectory() as folder, _interpreter(order.interpreter, Path(folder)) as python:
        place = Path(folder)
        wanted = replace(wish, env=place / "none", python=wish.python or (python.path if python else None))
        if wanted.cuda_runtime == "auto":
            wanted = replace(wanted, cuda_runtime="wheels")  # what this host has says nothing of the other
        plan = plan_fetch(wanted)
        locks = _plainly_named("--lock", _lock_parts(plan.lock))
        fetched = fetch_wheels(wanted, plan)
        progress.step("adding the tool and its own wheels")
        mirrors = mirrors_of(wish)
        needs = tool.needs(plan.interpreter, (python.minor,) if python else tool.PYTHONS, mirrors, place)
        own = fetch(
            needs.wheels,
            build=None,
            mirrors=mirrors,
            store=Store(wish.store),
            terms=wish.terms,
            environ=wish.environ,
        )
        parts = [*locks, *checks, *_tool_parts(needs, own.files), *interpreters]
        parts += sorted((_stored(wheel, fetched.files[wheel.filename]) for wheel in plan.selection.wheels), key=_name)
        facts = {
            "version": __version__,
            "lock": f"lock/{plan.lock.path.name}",
            "device": plan.lock.build.device if plan.lock.build else None,
            "python": plan.interpreter.minor,
            "machine": plan.interpreter.markers["platform_machine"],
            "glibc": _glibc(plan, needs.wheels),
            "tool_pythons": list(needs.requirements),
            "interpreter": interpreters[0].name if interpreters else None,
            "interpreter_python": python.minor if python else None,
            "checks": [f"{start.CHECKS}/{path.resolve().name}" for path in order.checks],
        }
        text = writing.manifest(parts, facts)
        key = partial(sign, key=order.sign_key) if order.sign_key else None
        progress.step(f"writing {order.output}")
        return writing.write(order.output, parts, text, sign=key, split=order.split)


def _name(part: Part) -> str:
    return part.name


def _plainly_named(flag: str, parts: Iterable[Part]) -> list[Part]:
    """Told before gigabytes are fetched. Raises UsageError."""
    found = list(parts)
    for part in found:
        if not may_name(part.name):
            name = part.name.partition("/")[2]
            raise UsageError(
                f"{flag}: a bundle cannot hold a file of this name: {name}",
                hint="rename it: letters A to Z, digits, spaces and ._+-!=@,~ are possible",
            )
    return found


@contextmanager
def _interpreter(archive: Path | None, folder: Path) -> Iterator[Interpreter | None]:
    """The interpreter in ``archive``, asked what it is. Raises UsageError for an archive that holds none of ours."""
    if archive is None:
        yield None
        return
    hint = "give one that uv installs: cpython-3.11.*-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    try:
        start.unpacked_archive(archive, folder / "interpreter")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"--interpreter {archive}: {error}", hint=hint) from error
    try:
        found = pythons.probe(folder / "interpreter" / "python" / "bin" / "python3")
    except NoInterpreter as error:
        raise UsageError(f"--interpreter {archive}: {error}", hint=hint) from error
    if found.minor not in tool.PYTHONS:
        known = ", ".join(tool.PYTHONS)
        raise UsageError(
            f"--interpreter {archive}: Python {found.version} cannot run the tool (that is {known})", hint=hint
        )
    yield found


def _interpreter_parts(archive: Path | None) -> Iterable[Part]:
    if archive:
        yield Part(f"{start.PYTHON}/{archive.name}", archive)


def _lock_parts(lock: Lock) -> Iterable[Part]:
    for path in (lock.path, pieces.path_for(lock.path)):
        if path.is_file():
            yield Part(f"lock/{path.name}", path.read_bytes())


def _check_parts(folders: Sequence[Path]) -> Iterable[Part]:
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) != len(names):
        raise UsageError(f"--checks: two folders have one name: {', '.join(names)}", hint="rename one of them")
    for name, folder in sorted(zip(names, folders, strict=True)):
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder)
            if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in inner.parts):
                yield Part(f"{start.CHECKS}/{name}/{inner.as_posix()}", path.read_bytes())


def _tool_parts(needs: tool.Needs, files: Mapping[str, Path]) -> Iterable[Part]:
    name, content = tool.own_wheel()
    own = Part(f"{start.TOOL}/wheels/{name}", content)
    line = f"{tool.NAME}=={name.split('-')[1]} --hash=sha256:{own.described()['sha256']}\n"
    for python, text in sorted(needs.requirements.items()):
        yield Part(f"{start.TOOL}/requirements-{python}.txt", (line + text).encode())
    wheels = [Part(f"{start.TOOL}/wheels/{wheel.filename}", files[wheel.filename]) for wheel in needs.wheels]
    yield from sorted([own, *wheels], key=_name)


def _stored(wheel: Wheel, path: Path) -> Part:
    return Part(f"{opening.WHEELS}{wheel.sha256[:2]}/{wheel.sha256}/{wheel.filename}", path)


def _glibc(plan: Plan, tools: Sequence[Wheel]) -> str:
    """The oldest glibc that everything in the bundle runs on, as file names and the lock's build say."""
    told = plan.lock.build.glibc if plan.lock.build else None
    floors = [_OLDEST, int(told.split(".")[1]) if told else 0]
    for wheel in (*plan.selection.wheels, *tools):
        platforms = {tag.platform for tag in parse_wheel_filename(wheel.filename)[3]}
        minors = [_minor(platform) for platform in platforms]
        if known := [minor for minor in minors if minor]:
            floors.append(min(known))
    return f"2.{max(floors)}"


def _minor(platform: str) -> int | None:
    found = re.match(r"manylinux_2_(\d+)_|(manylinux\d+)_", platform)
    return (int(found[1]) if found[1] else MANYLINUX.get(found[2])) if found else None


def fill_store(bundle: Opened, root: Path) -> tuple[Path, ...]:
    """Every wheel of the lock in the store at ``root``, and the lock itself in its folder locks; returns the files."""
    store = Store(root)
    rows = bundle.rows
    names = {name: parse_wheel_filename(name) for name in rows}
    wheels = [
        Wheel(names[name][0], str(names[name][1]), name, row["size"], row["sha256"])
        for name, row in sorted(rows.items())
    ]
    opening.bring(bundle, wheels, store)
    with store.explained():
        (root / "locks").mkdir(exist_ok=True)
        for path in sorted(bundle.lock.parent.iterdir()):
            (root / "locks" / path.name).write_bytes(path.read_bytes())
    return (*(store.path(wheel.sha256, wheel.filename) for wheel in wheels), root / "locks" / bundle.lock.name)
