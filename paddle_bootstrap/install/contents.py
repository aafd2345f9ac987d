"""What every file of a target shall hold: ``.paddle-bootstrap/files.sha256``, written with the receipt.

The digests are those that the RECORDs of the verified wheels state, so nothing is hashed for them. ``sha256sum -c`` reads the
list too, from the target's folder, on a host where this tool is not.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from installer.utils import Scheme

from paddle_bootstrap.digest import sha256_of
from paddle_bootstrap.install import distributions
from paddle_bootstrap.install.wheels import Place
from paddle_bootstrap.lock.model import Wheel

_OURS = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER")  # of a .dist-info: an installer writes or drops them
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"))  # as sha256sum writes names
_MOST = 8  # threads; beyond it memory decides

Digests = Mapping[str, str]  # path below the target -> sha256 in hex


def listing(place: Place, wheels: Sequence[tuple[Wheel, Path]], links: Sequence[str]) -> bytes:
    """The list for what stands at ``place``: each wheel with the folder of its unpacked copy, then our links."""
    known: dict[str, str] = {}
    lines = [
        "# what the verified wheels brought; to check it: cd ENVIRONMENT && sha256sum -c .paddle-bootstrap/files.sha256"
    ]
    for wheel, unpacked in wheels:
        brought = said_by(place, wheel, unpacked)
        digests = {**brought, **_ours(place, wheel, brought)}
        lines.append(f"# wheel {wheel.name} {wheel.version} {wheel.sha256}")
        lines += [_line(path, digests[path]) for path in sorted(digests)]
        known |= digests
    lines.append("# links")
    for link in links:
        leads = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(place.env / link)))  # noqa: PTH115, PTH118, PTH120
        if leads in known:
            lines.append(_line(link, known[leads]))
    return "".join(f"{line}\n" for line in lines).encode()


def said_by(place: Place, wheel: Wheel, unpacked: Path) -> Digests:
    """What the RECORD of the unpacked ``wheel`` says of the files that it brought to ``place``; not of rewritten scripts."""
    stem = wheel.stem
    folder, root = os.path.relpath(place.site_packages, place.env), os.fspath(unpacked)
    found = {}
    for name, digest in _rows(unpacked / f"{stem}.dist-info" / "RECORD"):
        first, _, rest = name.partition("/")
        if first == f"{stem}.data":
            path = _elsewhere(place, wheel, rest)
        else:
            path = None if first == f"{stem}.dist-info" and rest in _OURS else f"{folder}/{name}"
        if path and os.path.isfile(f"{root}/{name}"):  # noqa: PTH113 thousands of rows; some wheels list what they do not hold
            found[path] = digest or sha256_of(unpacked / name)
    return found


def changed(place: Place, wheel: Wheel, unpacked: Path) -> list[str]:
    """The files of ``wheel`` whose bytes at ``place`` are not those that its RECORD states, or that are gone."""
    digests = said_by(place, wheel, unpacked)
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), _MOST)) as threads:
        now = threads.map(lambda path: _now(place.env / path), digests)
        return [path for path, digest in zip(digests, now, strict=True) if digest != digests[path]]


def _now(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return None


def _ours(place: Place, wheel: Wheel, brought: Digests) -> Digests:
    """What else the installed RECORD lists: of what an installer makes (scripts, INSTALLER) it alone knows the digests."""
    record = distributions.present(place.site_packages)[wheel.name].record
    folder = os.path.relpath(place.site_packages, place.env)
    found = {}
    for name, digest in _rows(record):
        path = f"{folder}/{name}"
        if path in brought or (path := os.path.normpath(path)) in brought:
            continue
        file = place.env / path
        if file.is_file() and not file.is_symlink():
            found[path] = digest or sha256_of(file)
    return found


def _rows(record: Path) -> Iterator[tuple[str, str | None]]:
    """Path and sha256 (None: not stated) of each row, bytecode left out."""
    for row in distributions.rows(record):
        if "__pycache__" not in row[0].split("/"):
            yield row[0], _hex(row[1]) if len(row) > 1 else None


def _hex(stated: str) -> str | None:
    kind, _, value = stated.partition("=")
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex() if kind == "sha256" else None
    except binascii.Error:
        return None


def _elsewhere(place: Place, wheel: Wheel, name: str) -> str | None:
    """Where a file of the wheel's .data folder stands, below the target; None for scripts, whose first line may be rewritten."""
    scheme, _, rest = name.partition("/")
    if scheme == "scripts":
        return None
    return os.path.relpath(place.folder(cast("Scheme", scheme), wheel.name) / rest, place.env)


def _line(path: str, digest: str) -> str:
    name = path
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return f"{'' if name == path else chr(92)}{digest}  {name}"
