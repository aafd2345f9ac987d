"""Paddle's own hosts as origins: what they hold under a wheel's name, read over verified TLS and from nowhere else.

``--mirror`` and ``--trusted-host`` have no part in this: a digest that nobody publishes can only be learned from a host whose
certificate was checked. The index publishes no digest, no size and no metadata, answers 200 for names it does not know and
for files it does not give, and leads to other hosts; so file names, sizes and the wheel's own METADATA are what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from paddle_bootstrap.errors import BootstrapError, NoMirrorServes, WrongBytes
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.index_page import Link
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Connection, Source, patiently
from paddle_bootstrap.fetch.trust import named_certificates
from paddle_bootstrap.lock.remote_wheel import MAGIC, Head, NotThisWheel, head
from paddle_bootstrap.lock.resolving import fits
from paddle_bootstrap.mirrors.model import Mirror


@dataclass(frozen=True)
class Cell:
    """One wheel of a build: that of one Python."""

    package: str
    version: str
    filename: str  # what the table of releases says; the index may have it under another platform's tag
    tags: Sequence[Tag]  # of that Python, best first

    def rank(self, filename: str) -> int | None:
        """How well a file fits; None: it is another package, another version, or for another Python."""
        try:
            name, version, _, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename:
            return None
        same = name == canonicalize_name(self.package) and version == Version(self.version)
        return fits(self.tags, tags) if same else None


@dataclass(frozen=True)
class Copy:
    """A file as one host has it."""

    connection: Connection
    link: Link
    size: int
    head: Head
    authority: str = ""  # file of the certificates that its own was checked against; none: the host's

    @property
    def host(self) -> str:
        return self.connection.mirror.redacted


@dataclass(frozen=True)
class Offer:
    """A wheel, and every host that has it; they agree on its size and on every member's CRC-32."""

    filename: str
    copies: tuple[Copy, ...]

    @property
    def size(self) -> int:
        return self.copies[0].size

    @property
    def head(self) -> Head:
        return self.copies[0].head

    @property
    def published(self) -> str | None:
        """The sha256, should the index come to publish it."""
        return next((copy.link.sha256 for copy in self.copies if copy.link.sha256), None)

    @property
    def transport(self) -> str | None:
        """What is to be known of the way: several hosts that agree, and a certificate of whose word the user took."""
        names = list(dict.fromkeys(copy.connection.mirror.name for copy in self.copies))
        told = [f"{' and '.join(names)} have the same size and zip directory"] if len(names) > 1 else []
        if named := self.copies[0].authority:
            told.append(f"TLS checked against {Path(named).name}, not the host's own authorities")
        return "; ".join(told) or None


class PaddleHosts:
    """The origins of one build's folder, for one run."""

    def __init__(self, mirrors: Sequence[Mirror], environ: Mapping[str, str], patience: Patience | None = None) -> None:
        self._patience, self._environ = patience or Patience(), environ
        sources = [Source(mirror, environ, self._patience) for mirror in mirrors]  # no host is trusted unseen
        self._connections = [source.connect() for source in sources]
        self._by_host = {urlsplit(each.mirror.url).netloc: each for each in self._connections}

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def offer(self, cell: Cell) -> Offer:
        """The wheel of ``cell``. Raises NoMirrorServes with every host's reason; WrongBytes when what they have is
        another file, or not the same on all."""
        tried: list[str] = []
        wrong = False
        copies: list[Copy] = []
        links = self._links(cell, tried)
        filename = next(iter(links), cell.filename)
        for connection, link in self._places(cell, filename, links.get(filename, ())):
            try:
                copies.append(patiently(lambda: self._copy(connection, link, filename), self._patience))  # noqa: B023
            except MirrorFailure as failure:
                wrong |= failure.kind == "wrong"
                tried.append(f"{connection.mirror.redacted}: {filename}: {failure.reason}")
        if not copies:
            raise _unserved(filename, tried, wrong=wrong)
        if len({(copy.size, copy.head.directory) for copy in copies}) > 1:
            raise WrongBytes(
                f"Paddle's hosts do not have the same {filename}",
                tried=[f"{copy.host}: {copy.size} bytes, directory {copy.head.directory[:16]}" for copy in copies],
                hint="one of them is being changed, or lies: wait, and compose again",
            )
        return Offer(filename, tuple(copies))

    def _links(self, cell: Cell, tried: list[str]) -> dict[str, list[Link]]:
        """The files on the index pages that are wheels of ``cell``, the one that fits best first."""
        found: dict[str, list[Link]] = {}
        for connection in self._connections:
            if connection.mirror.kind == "files":
                continue
            try:
                page = patiently(lambda: connection.listed(cell.package), self._patience)  # noqa: B023
            except MirrorFailure as failure:
                tried.append(f"{connection.mirror.redacted}: {failure.reason}")
                continue
            fitting = {name: links for name, links in page.items() if cell.rank(name) is not None}
            for name, links in fitting.items():
                found.setdefault(name, []).extend(links)
            if not fitting:
                tried.append(f"{connection.mirror.redacted}: {_listed(page, cell)}")
        return dict(sorted(found.items(), key=lambda item: (cell.rank(item[0]), item[0])))

    def _places(self, cell: Cell, filename: str, links: Sequence[Link]) -> Iterator[tuple[Connection, Link]]:
        """Where the file may be, each place once: where the pages lead, and where each host keeps its files."""
        seen = set()
        own = [
            (each, Link(f"{each.mirror.url.rstrip('/')}/{quote(cell.package)}/{quote(filename)}"))
            for each in self._connections
            if each.mirror.kind == "files"
        ]
        led = [(self._by_host.get(urlsplit(link.url).netloc, self._connections[0]), link) for link in links]
        for connection, link in (*led, *own):
            if link.url not in seen:
                seen.add(link.url)
                yield connection, link

    def _copy(self, connection: Connection, link: Link, filename: str) -> Copy:
        """What one host says of the file: its size, and its head. Raises MirrorFailure."""
        size = self._size(connection, link)
        try:
            found = head(filename, size, lambda start, end: self._read(connection, link, start, end))
        except NotThisWheel as error:
            raise MirrorFailure("wrong", str(error)) from error
        return Copy(connection, link, size, found, named_certificates(connection.mirror, self._environ))

    def _size(self, connection: Connection, link: Link) -> int:
        self.require_known(link.url)
        body = connection.open(link, 0, len(MAGIC))
        try:
            self.require_known(body.url)
            if body.total is None:
                raise MirrorFailure("refused", "it does not tell the file's size")
            return body.total
        finally:
            body.close()

    def _read(self, connection: Connection, link: Link, start: int, end: int) -> bytes:
        body = connection.open(link, start, end)
        try:
            self.require_known(body.url)
            if body.start != start:
                raise MirrorFailure("refused", "it does not answer with the part of the file that was asked for")
            data = bytearray(end - start)
            memory, at = memoryview(data), 0
            while at < len(data):
                count = body.read_into(memory[at:])
                if not count:
                    raise MirrorFailure("broken", "its answer was cut", retry=True)
                at += count
            return bytes(data)
        finally:
            body.close()

    def require_known(self, url: str) -> None:
        """Raises MirrorFailure for a place that is on no origin: a page, or a redirect, cannot vouch for another host."""
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.netloc not in self._by_host:
            host = parts.netloc.rpartition("@")[2]
            raise MirrorFailure(
                "refused", f"it leads to {parts.scheme}://{host}, which is none of Paddle's known hosts"
            )


def _listed(page: Mapping[str, object], cell: Cell) -> str:
    wheels = [name for name in page if name.endswith(".whl")]
    if not wheels:
        return "its page lists no file"
    version = [name for name in wheels if f"-{cell.version}-" in name]
    told = f"of {cell.version} only {', '.join(sorted(version)[:4])}" if version else "nothing of that version"
    return f"its page lists {len(wheels)} wheels, {told}"


def _unserved(filename: str, tried: Sequence[str], *, wrong: bool) -> BootstrapError:
    if wrong:
        hint = "the name stands for another file there: take another build, and tell whoever keeps that host"
        return WrongBytes(f"what Paddle's hosts have as {filename} is another file", tried=tried, hint=hint)
    return NoMirrorServes(
        f"none of Paddle's hosts has {filename}",
        tried=tried or ("no origin that holds Paddle's wheels is configured",),
        hint="take a build that they have: paddle-bootstrap plan --all; or name a copy of theirs as an origin: "
        "[[mirror]] with origin = true",
    )
