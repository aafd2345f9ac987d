"""Puts unpacked wheels into an environment, as links to their unpacked files, and takes distributions out again.

What a wheel means (schemes, entry points, RECORD) is pypa's ``installer``'s business; how a file gets there is ours: a hard link
where that is possible, a copy elsewhere. No file is ever edited in place, so the unpacked copy stays what it is.
"""

from __future__ import annotations

import configparser
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from installer import install as put
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelSource
from installer.utils import SCHEME_NAMES, Scheme, fix_shebang

from paddle_bootstrap.digest import record_hash
from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install import distributions
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.replacing import replace_file

INSTALLER = b"paddle-bootstrap\n"


@dataclass(frozen=True)
class Place:
    """The environment that wheels are put into. ``copies``: no links, for files that will get another owner."""

    env: Path
    site_packages: Path
    python: Interpreter
    copies: bool = False

    def folder(self, scheme: Scheme, name: str) -> Path:
        """Where files of ``scheme`` belong (sysconfig's names) for the distribution ``name``."""
        return {
            "purelib": self.site_packages,
            "platlib": self.site_packages,
            "scripts": self.env / "bin",
            "headers": self.env / "include" / "site" / f"python{self.python.minor}" / name,
            "data": self.env,
        }[scheme]


def install(wheel: Wheel, unpacked: Path, place: Place) -> None:
    """Put ``wheel`` into ``place``; another version of it is taken out first. Raises InstallFailed."""
    uninstall(wheel.name, place)
    try:
        put(_Unpacked(wheel, unpacked), _Linked(wheel, place), {"INSTALLER": INSTALLER})
    except (InstallerError, KeyError, ValueError, configparser.Error, AssertionError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InstallFailed(f"{wheel.filename} cannot be installed: {why}", hint="report it to its makers") from error


def uninstall(name: str, place: Place) -> None:
    """Take the distribution ``name`` out, if it is there: what its RECORD lists, their bytecode, and empty folders."""
    found = distributions.present(place.site_packages).get(name)
    if found is None:
        return
    listed = distributions.rows_if_any(found.record)
    top = os.path.realpath(place.env)
    folders = set()
    for path in [os.path.normpath(f"{place.site_packages}/{row[0]}") for row in listed]:
        above = os.path.realpath(os.path.dirname(path))  # noqa: PTH120
        if above == top or above.startswith(top + os.sep):  # a RECORD may say anything
            folders.add(Path(path).parent)
            for gone in (Path(path), *_bytecode(Path(path))):
                _remove(gone)
    shutil.rmtree(found.record.parent, ignore_errors=True)
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        _remove_empty(folder, place.site_packages)


def _bytecode(path: Path) -> Iterator[Path]:
    if path.suffix == ".py" and (path.parent / "__pycache__").is_dir():
        yield from (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()


def _remove_empty(folder: Path, top: Path) -> None:
    """``folder``, and those above it below ``top``, as far as nothing is in them."""
    while folder != top and top in folder.parents and folder.is_dir():
        cache = folder / "__pycache__"
        if cache.is_dir() and not any(cache.iterdir()):
            cache.rmdir()
        if any(folder.iterdir()):
            return
        folder.rmdir()
        folder = folder.parent


WheelRow = tuple[str, str, str]  # path, hash, size


class _File(io.BytesIO):
    """A file of the unpacked wheel, opened only by who needs its bytes."""

    def __init__(self, path: str, row: WheelRow) -> None:
        super().__init__()
        self.path, self.row = path, row

    def bytes(self) -> bytes:
        return Path(self.path).read_bytes()


class _Unpacked(WheelSource):
    """A wheel that lies unpacked in a folder."""

    def __init__(self, wheel: Wheel, folder: Path) -> None:
        name, version = wheel.stem.split("-")
        super().__init__(distribution=name, version=version)
        self.folder = folder

    @property
    def dist_info_filenames(self) -> list[str]:
        return [path.name for path in (self.folder / self.dist_info_dir).iterdir()]

    def read_dist_info(self, filename: str) -> str:
        return (self.folder / self.dist_info_dir / filename).read_text(encoding="utf-8")

    def get_contents(self) -> Iterator[WheelContentElement]:
        rows = {row[0]: cast("WheelRow", tuple([*row, "", ""][:3])) for row in self._rows()}
        skip = len(os.fspath(self.folder)) + 1
        for folder, names, files in os.walk(self.folder):  # thousands of files: strings are quick
            names.sort()
            if folder.endswith("/__pycache__"):  # compiled here, for this Python and this place
                continue
            for name in sorted(files):
                path = f"{folder}/{name}"
                row = rows.get(path[skip:], (path[skip:], "", ""))
                yield row, cast("BinaryIO", _File(path, row)), False  # its mode is the unpacked file's

    def _rows(self) -> list[list[str]]:
        return distributions.rows(self.folder / self.dist_info_dir / "RECORD")


class _Linked(WheelDestination):
    """Files of the place, each a link to the unpacked one."""

    def __init__(self, wheel: Wheel, place: Place) -> None:
        self.wheel = wheel
        self.place = place
        self._made: set[str] = set()
        self._folders = {scheme: os.fspath(place.folder(Scheme(scheme), wheel.name)) for scheme in SCHEME_NAMES}

    def write_script(self, name: str, module: str, attr: str, section: Any) -> RecordEntry:
        script, data = Script(name, module, attr, section).generate(str(self.place.env / "bin" / "python"), "posix")
        return self._write(Scheme("scripts"), script, data, 0o755)

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,  # noqa: ARG002 the unpacked file has its mode
    ) -> RecordEntry:
        name = os.fspath(path)
        if not isinstance(stream, _File):
            return self._write(scheme, name, stream.read(), 0o644)
        if scheme == "scripts":
            python = str(self.place.env / "bin" / "python")
            with io.BytesIO(stream.bytes()) as file, fix_shebang(file, python) as fixed:
                return self._write(scheme, name, fixed.read(), 0o755)
        link_or_copy(stream.path, self._target(scheme, name), copies=self.place.copies)
        _, digest, size = stream.row
        if not digest or not size:
            return _entry(name, stream.bytes())
        return RecordEntry(name, Hash.parse(digest), int(size))

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str | os.PathLike[str], records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        rows = [_row(self._listed(where, entry.path), entry) for where, entry in records]
        target = self._target(scheme, os.fspath(record_file_path))
        replace_file(Path(target), distributions.text(rows), 0o644)

    def _listed(self, scheme: Scheme, name: str) -> str:
        """The file's path as RECORD has it."""
        folder, top = self._folders[scheme], os.fspath(self.place.site_packages)
        return os.path.normpath(name) if folder == top else os.path.relpath(f"{folder}/{name}", top)

    def _target(self, scheme: Scheme, name: str) -> str:
        """Where the file belongs; what stands there is removed. Raises InstallFailed for a name that leads elsewhere."""
        folder = self._folders[scheme]
        target = os.path.normpath(f"{folder}/{name}")
        if not target.startswith(f"{folder}/"):
            raise InstallFailed(f"{self.wheel.filename} would write to {target}, outside {folder}")
        above = target.rpartition("/")[0]
        if above not in self._made:
            distributions.require_inside(self.place.env, above)
            Path(above).mkdir(parents=True, exist_ok=True)
            self._made.add(above)
        if os.path.lexists(target):
            Path(target).unlink()
        return target

    def _write(self, scheme: Scheme, name: str, data: bytes, mode: int) -> RecordEntry:
        target = Path(self._target(scheme, name))
        target.write_bytes(data)
        target.chmod(mode)
        return _entry(name, data)


def link_or_copy(source: str | Path, target: str | Path, *, copies: bool) -> None:
    """A copy, its time included, where a link is not wanted or not possible."""
    if not copies:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, too many links, or a file of somebody else's
            pass
    shutil.copy2(source, target)


def _entry(name: str, data: bytes) -> RecordEntry:
    return RecordEntry(name, Hash.parse(record_hash(data)), len(data))


def _row(name: str, entry: RecordEntry) -> list[str]:
    digest = f"{entry.hash_.name}={entry.hash_.value}" if entry.hash_ else ""
    return [name, digest, "" if entry.size is None else str(entry.size)]
