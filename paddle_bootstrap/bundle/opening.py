"""A bundle as a run uses it: judged first, then its lock and checks as files, and its wheels for a store."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap import progress
from paddle_bootstrap.bundle import start
from paddle_bootstrap.bundle.judging import require_platform, require_signed
from paddle_bootstrap.bundle.reading import (
    DISK,
    MANIFEST,
    MINISIGN,
    SSH,
    USAGE,
    WRONG_BYTES,
    WRONG_PLATFORM,
    Bundle,
    Member,
    Refused,
    matches,
    parsed,
)
from paddle_bootstrap.errors import BootstrapError, InstallFailed, NoBuildFits, UsageError, WrongBytes
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import TransferRecord
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock.model import Wheel

_CAUSES: Mapping[int, type[BootstrapError]] = {
    WRONG_BYTES: WrongBytes,
    WRONG_PLATFORM: NoBuildFits,
    USAGE: UsageError,
    DISK: InstallFailed,
}
WHEELS = f"{start.STORE}/wheels/sha256/"


@contextmanager
def judged() -> Iterator[None]:
    """What the bundle's own reader refuses, as an error of the tool."""
    try:
        yield
    except Refused as refused:
        raise _CAUSES[refused.code](str(refused), hint=refused.hint) from refused


@dataclass(frozen=True)
class Opened:
    """A bundle whose manifest, signature and platform have been judged, and its small members as verified files."""

    path: Path  # the file, or the folder that it was unpacked into
    folder: Path  # holds lock and checks
    manifest: Mapping[str, Any]
    signer: str | None

    @property
    def lock(self) -> Path:
        return self.folder / str(self.manifest["lock"])

    @property
    def checks(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.manifest["checks"])

    @property
    def python(self) -> str:
        """The interpreter that came with it where it was unpacked and is of the wheels' Python, else that version."""
        own = self.folder / start.PYTHON / "unpacked" / "python" / "bin" / "python3"
        told: str = self.manifest["python"]
        return str(own) if own.exists() and self.manifest["interpreter_python"] == told else told

    @property
    def rows(self) -> dict[str, Member]:
        """File name -> the row of each wheel of the lock."""
        members = self.manifest["members"]
        return {row["name"].rsplit("/", 1)[1]: row for row in members if row["name"].startswith(WHEELS)}


def opened(path: Path, allowed: Path | None) -> Opened:
    """The bundle at ``path``: a file, its parts, or a folder that one was unpacked into.

    Raises WrongBytes for one that is changed, cut, or not signed by whom ``allowed`` names; NoBuildFits for one of another
    platform; UsageError.
    """
    with judged():
        return _folder(path, allowed) if path.is_dir() else _file(path, allowed)


def _signer(text: bytes, signature: tuple[str, bytes] | None, allowed: Path | None, path: Path) -> str | None:
    if allowed:
        return require_signed(text, signature, allowed, str(path))
    if signature:
        progress.warn(f"{path} is signed, but no --allowed-signers says whose signature counts: it was not judged")
    return None


def _folder(path: Path, allowed: Path | None) -> Opened:
    own = path / MANIFEST
    if not own.is_file():
        raise Refused(USAGE, f"{path} holds no unpacked bundle: there is no {MANIFEST} in it", "give the bundle's file")
    text = own.read_bytes()
    found = next((name for name in (SSH, MINISIGN) if (path / name).is_file()), None)
    signer = _signer(text, (found, (path / found).read_bytes()) if found else None, allowed, path)
    manifest = parsed(text, str(own))
    require_platform(manifest, str(path))
    for row in manifest["members"]:
        if _is_small(row) and not matches(path / row["name"], row):
            raise Refused(WRONG_BYTES, f"{path / row['name']} was changed", "run the bundle again: sh FILE")
    return Opened(path, path, manifest, signer)


def _file(path: Path, allowed: Path | None) -> Opened:
    folder = Path(tempfile.mkdtemp(prefix="paddle-bootstrap-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with Bundle(path) as bundle:
        signer = _signer(bundle.text, bundle.signature, allowed, path)
        require_platform(bundle.manifest, str(path))
        for row in bundle.members():
            if not _is_small(row):
                break  # they come first
            bundle.save(row, folder / row["name"])
        return Opened(path, folder, bundle.manifest, signer)


def _is_small(row: Member) -> bool:
    return bool(row["name"].startswith(("lock/", f"{start.CHECKS}/")))


def verify(path: Path, allowed: Path | None) -> Opened:
    """Read all of the bundle file and compare every byte. Raises as ``opened``."""
    found = opened(path, allowed)
    with judged():
        if path.is_dir():
            for row in found.manifest["members"]:
                if not matches(path / row["name"], row):
                    raise Refused(WRONG_BYTES, f"{path / row['name']} was changed", "run the bundle again: sh FILE")
            return found
        with Bundle(path) as bundle:
            for row in bundle.members():
                progress.note(row["name"])
                bundle.check(row)
    return found


def bring(bundle: Opened, wheels: Sequence[Wheel], store: Store) -> tuple[TransferRecord, ...]:
    """Those of ``wheels`` that ``store`` lacks, from the bundle, verified. Raises NoBuildFits for what it does not hold."""
    with held(store.lock, f"the store {store.root}"):
        missing = {wheel.filename: wheel for wheel in wheels if store.has(wheel) is None}
        rows = bundle.rows
        absent = [name for name, wheel in missing.items() if rows.get(name, {}).get("sha256") != wheel.sha256]
        if absent:
            told = f"{bundle.manifest['lock'].rsplit('/', 1)[1]} and Python {bundle.manifest['python']}"
            raise NoBuildFits(
                f"{bundle.path} holds the wheels of {told}, and lacks {len(absent)} that this run needs",
                tried=absent,
                hint="give no other --lock and --python, a target of that Python, or a bundle that was made for this",
            )
        store.require_space(list(missing.values()))
        with store.explained(), judged():
            return tuple(_taken(bundle, missing, store))


def _taken(bundle: Opened, missing: Mapping[str, Wheel], store: Store) -> Iterator[TransferRecord]:
    if bundle.path.is_dir():
        for name, wheel in missing.items():
            started, row = time.monotonic(), bundle.rows[name]
            source, partial = bundle.path / row["name"], store.partial(wheel)
            partial.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial)
            if not matches(partial, row):
                partial.unlink()
                raise Refused(WRONG_BYTES, f"{source} was changed", "run the bundle again: sh FILE")
            store.keep(wheel)
            yield _record(bundle, wheel, row, started)
        return
    with Bundle(bundle.path) as file:
        if json.loads(file.text) != bundle.manifest:
            raise Refused(WRONG_BYTES, f"{bundle.path} was changed while it was in use", "run the command again")
        for row in file.members():
            name = row["name"].rsplit("/", 1)[-1]
            if name not in missing or not row["name"].startswith(WHEELS):
                file.skip(row)
                continue
            started = time.monotonic()
            file.save(row, store.partial(missing[name]))
            store.keep(missing[name])
            yield _record(bundle, missing[name], row, started)


def _record(bundle: Opened, wheel: Wheel, row: Member, started: float) -> TransferRecord:
    progress.transfer(wheel.filename, row["size"], row["size"])
    seconds = round(time.monotonic() - started, 3)
    return TransferRecord(wheel.filename, f"bundle {bundle.path.name}", row["size"], 0, seconds, "fetched")
