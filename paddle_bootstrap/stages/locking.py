"""Composing a lock for any build, and finding the one that a project has.

The digests of a lock come from the official index, from a record that ships with the tool, or, where nobody publishes one,
from the file itself on Paddle's own hosts (``first use``). Which mirror brought the bytes has no part in it.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from paddle_bootstrap import progress, toml
from paddle_bootstrap.errors import NoBuildFits, NoMirrorServes, UsageError, WrongBytes
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock import compose, pieces, pylock
from paddle_bootstrap.lock.choose import build_of
from paddle_bootstrap.lock.compose import Given
from paddle_bootstrap.lock.index import JSON_PAGE, Index
from paddle_bootstrap.lock.model import Lock, Wheel
from paddle_bootstrap.lock.recorded import TABLE as RECORDS
from paddle_bootstrap.lock.rendering import Pin
from paddle_bootstrap.lock.resolving import tags_of
from paddle_bootstrap.mirrors.configured import origins
from paddle_bootstrap.releases.model import Release
from paddle_bootstrap.stages.choosing import PROJECT_LOCK, python_of, release_for
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.paddle_hosts import Cell, Offer, PaddleHosts
from paddle_bootstrap.stages.vouching import Vouching, learned_before
from paddle_bootstrap.stages.wish import Wish

COMPOSING = toml.read(Path(pylock.__file__).with_name("composing.toml"))


def lock_of(wish: Wish, release: Release, python: str) -> Path:
    """The lock that installs ``release`` for ``python`` ("3.12"): the shipped one, else one that is composed now and kept
    as the project's."""
    if release.lock and not wish.extra:
        return pylock.find(release.lock)
    return compose_lock(wish, release, (python,), wish.cwd / PROJECT_LOCK).path


def kept_lock(wish: Wish) -> Lock:
    """The project's lock. Raises UsageError when there is none."""
    path = wish.cwd / PROJECT_LOCK
    if not path.is_file():
        raise UsageError(f"this project has no lock: {path} is not there", hint="compose one: paddle-bootstrap lock")
    return pylock.read(path)


def write_lock(wish: Wish, path: Path, *, all_pythons: bool) -> Lock:
    """The lock of the build that ``wish`` names, or that fits this host, at ``path``: a shipped one, or composed."""
    release = release_for(wish)
    if release.lock and not wish.extra:
        shipped = pylock.find(release.lock)
        progress.step(f"{release.package} {release.id}: its lock comes with the tool: {release.lock}")
        compose.replace_texts({path: _text(shipped), pieces.path_for(path): _text(pieces.path_for(shipped))})
        return pylock.read(path)
    pythons = release.pythons if all_pythons else (python_of(wish, release),)
    return compose_lock(wish, release, pythons, path)


def upgrade(wish: Wish, *, all_pythons: bool) -> tuple[Lock, Lock]:
    """The project's lock composed anew; returns the old one, which has moved beside it, and the new one."""
    old = kept_lock(wish)
    wish = replace(wish, device=wish.device or (old.build.device if old.build else None))
    paths = (old.path, pieces.path_for(old.path))
    before = {path: _text(path) for path in paths if path.is_file()}
    compose.require_place(old.path)
    with tempfile.TemporaryDirectory(dir=old.path.parent, prefix=".lock-") as folder:
        for path, text in before.items():  # what it has learned of a file binds the new one
            Path(folder, path.name).write_text(text, encoding="utf-8")
        write_lock(wish, Path(folder, old.path.name), all_pythons=all_pythons)
        after = {path: _text(Path(folder, path.name)) for path in paths}
    if after[old.path] == before[old.path]:
        return old, old
    kept = {path.with_name(path.name + ".old"): text for path, text in before.items()}
    compose.replace_texts({**kept, **after})  # the old one has its name before the new one has its own
    return pylock.read(old.path.with_name(old.path.name + ".old")), pylock.read(old.path)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def compose_lock(wish: Wish, release: Release, pythons: Sequence[str], path: Path, records: Path = RECORDS) -> Lock:
    """Write the lock of ``release`` for ``pythons`` to ``path``; every wheel in it is then in the store.

    ``records``: digests that others have recorded. Raises NoBuildFits when what was asked for does not go together,
    InstallFailed where ``path`` cannot be written, FirstUse, NoMirrorServes, WrongBytes.
    """
    _require_composable(release, pythons)
    compose.require_place(path)
    progress.step(f"composing a lock for {release.package} {release.id}, Python {', '.join(pythons)}")
    source, rows = _source(wish, release, pythons), []
    with _index(wish) as index, closing(_hosts(wish, release)) as hosts, tempfile.TemporaryDirectory() as folder:
        offers = _offers(release, pythons, source["glibc"], hosts) if release.served == "paddle" else {}
        given = {python: _given(release, offer, Path(folder)) for python, offer in offers.items()}
        pins = compose.pins_of(source, index, given or None)
        vouching = Vouching(
            release.index_folder,
            hosts,
            Store(wish.store),
            learned_before(path, release),
            first_use=not wish.require_shipped,
            records=records,
            limit_rate=wish.terms.limit_rate,
        )
        for python, offer in offers.items():
            wheel, how = vouching.of(offer, given[python].wheel)
            _put(pins, wheel)
            rows += [how] if how else []
    files = _fetched(wish, release, pins, vouching)
    compose.written(source | {"learned": rows, "build": _build(release, pins)}, pins, files, path)
    return pylock.read(path)


def _require_composable(release: Release, pythons: Sequence[str]) -> None:
    if release.served not in ("pypi", "paddle"):
        told = "by a page of links alone" if release.served == "find-links" else "nowhere"
        raise NoBuildFits(f"{release.package} {release.id} is served {told}: no lock can be composed", hint=_ALL)
    if unserved := [python for python in pythons if python not in release.pythons]:
        raise NoBuildFits(
            f"{release.package} {release.id} has no wheel for Python {', '.join(unserved)}",
            tried=[f"it has wheels for {', '.join(release.pythons)}"],
            hint="give another --python, or another build: paddle-bootstrap plan --all",
        )


_ALL = "see what there is: paddle-bootstrap plan --all"


def _source(wish: Wish, release: Release, pythons: Sequence[str]) -> dict[str, Any]:
    """What the composer needs to know, as a row of sources.toml has it."""
    own = [f"{release.package}=={release.version}"] if release.served == "pypi" else []
    return {
        "name": f"{release.id}",
        "requirements": [*own, *COMPOSING["requirements"], *wish.extra],
        "constraints": COMPOSING["constraints"],
        "pythons": list(pythons),
        "glibc": release.glibc or COMPOSING["glibc"],
        "grouped": COMPOSING["grouped"],
        "groups": {},
        "extra": list(wish.extra),
        "made_by": f"`paddle-bootstrap lock --paddle {release.version} --build {release.build}`",
    }


@contextmanager
def _index(wish: Wish) -> Iterator[Index]:
    """The index whose word on digests counts: the first origin that holds every package."""
    found = [
        each
        for each in origins("pypi", wish.environ, cwd=wish.cwd, tables=wish.mirror_tables)
        if each.kind == "simple" and not each.folder_per_build
    ]
    if not found:
        raise NoMirrorServes(
            "no index is an origin of digests",
            hint="name one in paddle-bootstrap.toml: [[mirror]] with its https url and origin = true",
        )
    connection = Source(found[0], wish.environ, Patience()).connect()
    address = found[0].url

    def read(page: str) -> bytes:
        try:
            return connection.text(page, JSON_PAGE).body
        except MirrorFailure as failure:
            raise ValueError(failure.reason) from failure

    with closing(connection):
        login = found[0].login.in_front_of(address) if found[0].login else None
        yield Index(address, None, read=read, with_login=login, certificate=found[0].certificate)


def _hosts(wish: Wish, release: Release) -> PaddleHosts:
    rows = origins("paddle", wish.environ, cwd=wish.cwd, tables=wish.mirror_tables)
    mirrors = [mirror for row in rows if (mirror := row.for_build(release.index_folder))]
    return PaddleHosts(mirrors, wish.environ)


def _offers(release: Release, pythons: Sequence[str], glibc: str, hosts: PaddleHosts) -> dict[str, Offer]:
    progress.step(f"reading the METADATA of {release.package} {release.id} on Paddle's hosts")
    return {
        python: hosts.offer(Cell(release.package, release.version, release.filename(python), tags_of(python, glibc)))
        for python in pythons
    }


def _given(release: Release, offer: Offer, folder: Path) -> Given:
    """The wheel as uv may see it: METADATA and nothing else, so that uv's words name Paddle's own pins in a conflict."""
    stub = folder / offer.filename
    info = f"{'-'.join(offer.filename.split('-')[:2])}.dist-info"
    with zipfile.ZipFile(stub, "w") as archive:
        archive.writestr(f"{info}/METADATA", offer.head.metadata)
    row = Wheel(canonicalize_name(release.package), release.version, offer.filename, offer.size, offer.published or "")
    return Given(row, f"{release.package} @ {stub.as_uri()}")


def _put(pins: Sequence[Pin], wheel: Wheel) -> None:
    for pin in pins:
        for python, each in pin.wheels.items():
            if each.filename == wheel.filename:
                pin.wheels[python] = wheel


def _fetched(wish: Wish, release: Release, pins: Sequence[Pin], vouching: Vouching) -> Mapping[str, Path]:
    """Every wheel in the store: its digest is known now, so any mirror may bring it. A record decides like a lock."""
    wheels = {wheel.filename: wheel for pin in pins for wheel in pin.wheels.values()}
    progress.step(f"fetching {len(wheels)} wheels")
    try:
        return fetch(
            list(wheels.values()),
            build=release.index_folder,
            mirrors=mirrors_of(wish),
            store=vouching.store,
            terms=wish.terms,
            environ=wish.environ,
        ).files
    except WrongBytes as error:
        records = [row for name in wheels if (row := vouching.record(name))]
        told = [f"recorded by {row.source}: {row.file} has sha256 {row.sha256}" for row in records]
        raise WrongBytes(str(error), tried=[*error.tried, *told], hint=error.hint) from error


def _build(release: Release, pins: Sequence[Pin]) -> dict[str, Any]:
    """``[tool.paddle-bootstrap]``: what later stages need to know of the build. Its size is measured, not told."""
    libraries = {"group": "cuda", "link": release.libraries == "links", "needs": {}}
    known = asdict(build_of(release)) | {"cudnn_runtime": _cudnn(pins)}
    del known["unpacked_bytes"]
    return known | {"libraries": libraries if any(pin.group == "cuda" for pin in pins) else None}


def _cudnn(pins: Sequence[Pin]) -> str | None:
    """What get_cudnn_version() says with the cuDNN wheel of the lock: 9.5.1 of 9.5.1.17."""
    found = [pin.version for pin in pins if pin.name.startswith("nvidia-cudnn-cu")]
    return ".".join(found[0].split(".")[:3]) if found else None
