"""The bill of materials of a lock, or of a target by its receipt."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import ConfigError, DamagedLock, TargetRefused, UsageError
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.install import receipt
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.choose import choose
from paddle_bootstrap.lock.model import Lock, Wheel
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.stages.wish import Wish
from paddle_bootstrap.supply.inventory import File, Inventory, Part
from paddle_bootstrap.supply.licences import declared

Metadata = Callable[[Wheel], str]  # of a wheel; empty where it cannot be read


def bill_of_materials(wish: Wish) -> str:
    """The CycloneDX document of ``wish.lock`` or, when none was asked for, of the target at ``wish.env``."""
    try:
        from paddle_bootstrap.supply.bom import document
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a bill of materials needs cyclonedx-python-lib, which is an extra of this tool: {error}",
            hint=f"{sys.executable} -m pip install 'cyclonedx-python-lib>=11', or install paddle-bootstrap[sbom]",
        ) from error
    inventory = _of_lock(wish) if wish.lock is not None else _of_target(wish.env.resolve())
    return document(replace(inventory, created=_moment(wish.environ) or inventory.created))


def _of_lock(wish: Wish) -> Inventory:
    lock = choose(wish.lock, None, None)
    metadata, vouched = _in_store(Store(wish.store)), _vouched(lock)
    found: dict[tuple[str, str], dict[str, Wheel]] = {}  # one package and version may stand in several entries
    for package in pylock.packages(lock):
        same = found.setdefault((package.name, package.version or ""), {})
        same.update((wheel.filename, wheel) for wheel in package.wheels)
    parts = []
    for (name, version), wheels in found.items():
        texts = map(metadata, wheels.values())
        licences = declared(next(filter(None, texts), ""))
        parts.append(Part(name, version, tuple(_file(wheel, (), vouched) for wheel in wheels.values()), licences))
    whole = lock.build.version if lock.build else None
    return Inventory(lock.name, whole, f"lock {lock.sha256}", tuple(parts), (("lock-sha256", lock.sha256),))


def _of_target(env: Path) -> Inventory:
    found = receipt.read(env)
    if found is None:
        raise TargetRefused(
            f"{env} has no receipt: it was not installed by paddle-bootstrap, so where its bytes are from is not known",
            hint="name another target with --env, or a lock with --lock FILE",
        )
    if found.doubtful:
        raise TargetRefused(
            f"{env}: a change in place of it was not ended, so what it holds is not known",
            hint="go back: paddle-bootstrap install "
            f"--env {env} --lock {env / receipt.FOLDER / f'pylock.{found.lock_name}.toml'}",
        )
    site_packages = next(env.glob(f"lib/python{'.'.join(found.python.split('.')[:2])}/site-packages"), env)
    vouched = _vouched_at(env, found)
    parts = []
    for wheel in (Wheel(**row) for row in found.wheels):
        file = _file(wheel, found.origins.get(wheel.sha256, ()), vouched)
        licences = declared(_text(site_packages / f"{wheel.stem}.dist-info/METADATA"))
        parts.append(Part(wheel.name, wheel.version, (file,), licences))
    facts = (
        ("lock-sha256", found.lock_sha256),
        ("python", found.python),
        ("cuda-runtime", found.cuda_runtime),
        ("installed-by", found.tool),
    )
    version = found.build["version"] if found.build else None
    seed = f"target {found.lock_sha256} {found.created} {found.python} {found.cuda_runtime}"
    return Inventory(found.lock_name, version, seed, tuple(parts), facts, datetime.fromisoformat(found.created))


def _vouched_at(env: Path, found: Receipt) -> Mapping[str, str]:
    """As the copy of the lock beside the receipt tells it; else the receipt alone, which knows of first uses."""
    path = env / receipt.FOLDER / f"pylock.{found.lock_name}.toml"
    try:
        return _vouched(pylock.read(path))
    except DamagedLock as error:
        progress.warn(f"{error}; of its digests only first uses are told, as the receipt has them")
    return {file: words for file, _, words in (each.partition(": ") for each in found.first_use)}


def _vouched(lock: Lock) -> Mapping[str, str]:
    return {item.file: str(item).removeprefix(f"{item.file}: ") for item in lock.learned}


def _file(wheel: Wheel, mirrors: Sequence[str], vouched: Mapping[str, str]) -> File:
    known = vouched.get(wheel.filename)
    shown = tuple(redact(mirror) for mirror in mirrors)
    return File(wheel.filename, wheel.sha256, wheel.size, shown, redact(known) if known else None)


def _in_store(store: Store) -> Metadata:
    def metadata(wheel: Wheel) -> str:
        unpacked, packed = store.unpacked(wheel), store.has(wheel)
        if unpacked:
            return _text(unpacked / f"{wheel.stem}.dist-info/METADATA")
        try:
            if packed:
                with zipfile.ZipFile(packed) as archive:
                    return archive.read(f"{wheel.stem}.dist-info/METADATA").decode("utf-8", "replace")
        except (KeyError, zipfile.BadZipFile, zlib.error) as error:
            mend = "paddle-bootstrap store verify --remove"
            progress.warn(f"{packed}: its METADATA cannot be read ({error}), so its licence is not told; try {mend}")
        return ""

    return metadata


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _moment(environ: Mapping[str, str]) -> datetime | None:
    """``SOURCE_DATE_EPOCH``, as reproducible builds have it."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    try:
        return datetime.fromtimestamp(int(text), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"SOURCE_DATE_EPOCH={text!r} is no time", hint="give whole seconds since 1970, or unset it"
        ) from error
