"""A package index as the composer of locks needs it: the best wheel of a version, with its size, sha256 and bytes."""

from __future__ import annotations

import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoBuildFits, NoMirrorServes, WrongBytes
from paddle_bootstrap.lock import pieces
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.resolving import fits
from paddle_bootstrap.mirrors.redact import redact

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
SECONDS = 60.0  # without a byte
_TOLD = ("filename", "url", "hashes", "size")  # of every file
_HINT = "is the name right? Locks are composed from an index with PEP 691 pages and PEP 700 fields (make locks: --index URL)"
_FAILURES = (OSError, http.client.HTTPException, ValueError)


class Index:
    """The simple index at ``address`` (PEP 691), without what was uploaded after ``newest`` (PEP 700).

    ``read`` brings a page's bytes; it raises OSError, HTTPException or ValueError. ``with_login`` and ``certificate`` are
    what uv needs to read the same pages.
    """

    def __init__(
        self,
        address: str,
        newest: str | None,
        *,
        read: Callable[[str], bytes] | None = None,
        with_login: str | None = None,
        certificate: str | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        self.newest = newest
        self.with_login = with_login or self.address
        self.certificate = certificate
        self._bring = read or _over_the_web
        self._pages: dict[str, list[dict[str, Any]]] = {}

    def best(self, name: str, version: str, tags: Sequence[Tag]) -> Wheel:
        """The wheel that an installer with ``tags``, best first, takes. Raises NoBuildFits."""
        fitting = []
        for file in self.files(name):
            rank = fits(tags, _tags(file["filename"], version))
            if rank is not None and self._was_there(file) and not file.get("yanked"):
                fitting.append((rank, file["filename"], file))
        if not fitting:
            when = f" that was there on {self.newest}" if self.newest else ""
            raise NoBuildFits(f"{name} {version} has no wheel for {tags[0]}{when}")
        file = min(fitting)[2]
        return Wheel(name, version, file["filename"], file["size"], file["hashes"]["sha256"])

    def _was_there(self, file: Mapping[str, Any]) -> bool:
        """Both times are UTC (PEP 700), some with a fraction of a second: without the Z the shorter text is the earlier."""
        return self.newest is None or bool(file["upload-time"].removesuffix("Z") < self.newest.removesuffix("Z"))

    def files(self, name: str) -> list[dict[str, Any]]:
        """The files of ``name`` with absolute addresses. Raises NoMirrorServes."""
        if name not in self._pages:
            self._pages[name] = self._read(f"{self.address}/{name}/")
        return self._pages[name]

    def _read(self, page: str) -> list[dict[str, Any]]:
        try:
            files: list[dict[str, Any]] = json.loads(self._bring(page))["files"]
            told = (*_TOLD, "upload-time") if self.newest else _TOLD
            lacking = {name for file in files for name in told if not file.get(name)}
            if lacking or not all(file["hashes"].get("sha256") for file in files):
                raise ValueError(f"does not tell {', '.join(sorted(lacking)) or 'sha256'} of every file")
            return [{**file, "url": urljoin(page, file["url"])} for file in files]
        except (*_FAILURES, KeyError, TypeError, AttributeError) as error:
            raise NoMirrorServes(f"{redact(page)}: {redact(str(error))}", hint=_HINT) from error

    def obtain(self, wheel: Wheel, folder: Path) -> Path:
        """The file of ``wheel`` in ``folder``, downloaded if it is not there. Raises WrongBytes."""
        path = folder / wheel.filename
        if path.exists():
            return _verified(wheel, path)
        progress.step(f"downloading {wheel.filename}")
        url = next(file["url"] for file in self.files(wheel.name) if file["filename"] == wheel.filename)
        partial = path.with_name(path.name + ".part")
        try:
            with _opened(url) as response, partial.open("wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
        except _FAILURES as error:
            raise NoMirrorServes(f"{redact(url)}: {redact(str(error))}") from error
        _verified(wheel, partial).replace(path)
        return path


def _over_the_web(page: str) -> bytes:
    with _opened(page, JSON_PAGE) as response:
        return response.read()


def _opened(url: str, accept: str = "*/*") -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    return response


def _verified(wheel: Wheel, path: Path) -> Path:
    measured = pieces.measure(path)
    if (measured.sha256, measured.size) != (wheel.sha256, wheel.size):
        raise WrongBytes(
            f"{path} is not what the index says of {wheel.filename}",
            tried=[
                f"the index: {wheel.size} bytes, sha256 {wheel.sha256}",
                f"the file: {measured.size} bytes, sha256 {measured.sha256}",
            ],
            hint=f"remove {path} and run again",
        )
    return path


def _tags(filename: str, version: str) -> frozenset[Tag]:
    """The tags of a wheel of ``version``; none when ``filename`` is anything else."""
    try:
        _, found, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return frozenset()
    return tags if found == Version(version) else frozenset()
