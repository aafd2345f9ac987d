"""A mirror at work: finds a wheel's address on it, and opens a range of the file, over HTTP or in a local folder."""

from __future__ import annotations

import http.client
import io
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from paddle_bootstrap.fetch.failure import Kind, MirrorFailure
from paddle_bootstrap.fetch.index_page import ACCEPT, Link, Page, parse, project_page
from paddle_bootstrap.fetch.loading import Loading
from paddle_bootstrap.fetch.logins import Logins
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.web import Answer, Web
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import Mirror

_LONGEST_PAGE = 64 << 20  # bytes; the largest project pages of the official index are below 20 MB
T = TypeVar("T")


class Body(Protocol):
    """A file's bytes from ``start`` on."""

    start: int
    total: int | None  # size of the whole file, as announced
    url: str  # where it came from, after redirects; may hold a signature

    @property
    def cut(self) -> bool:
        """It ended before its announced end."""

    def read_into(self, memory: memoryview) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Text:
    """A page, before anybody has read it."""

    body: bytes
    kind: str  # its Content-Type
    url: str  # after redirects


class Source:
    """One mirror for one run: what its pages say, learned once for all its connections."""

    def __init__(
        self, mirror: Mirror, environ: Mapping[str, str], patience: Patience, trusted: Sequence[str] = ()
    ) -> None:
        self.mirror = mirror
        self.patience = patience
        self._environ = environ
        self._trusted = tuple(trusted)
        self._logins = Logins(mirror, environ)
        self._lock = threading.Lock()
        self._pages: dict[str, Loading] = {}

    def connect(self) -> Connection:
        """A connection of its own, for one thread. Nothing is opened yet."""
        return Connection(self, Web(self.mirror, self._environ, self.patience, self._logins, self._trusted))

    def page(self, url: str, load: Callable[[], Page], by: Connection) -> Page:
        """The page at ``url``, which ``by`` loads with ``load`` unless another connection does."""
        with self._lock:
            loading = self._pages.setdefault(url, Loading(self.patience.silence))
        try:
            return loading.get(load, by)
        except MirrorFailure as failure:
            with self._lock:
                if failure.retry and self._pages.get(url) is loading and loading.failed:
                    del self._pages[url]  # who comes later tries again
            raise


class Connection:
    """One thread's way to a mirror: finds files and opens them."""

    def __init__(self, source: Source, web: Web) -> None:
        self.source = source
        self.mirror = source.mirror
        self.patience = source.patience
        self._web = web

    def find(self, wheel: Wheel) -> Link:
        """Where the mirror has ``wheel``. Raises MirrorFailure: no page, not on it, or it announces other bytes."""
        if self.mirror.kind == "files":
            base = self.mirror.url.rstrip("/")
            return Link(f"{base}/{quote(wheel.name)}/{quote(wheel.filename)}")
        page = self.listed(wheel.name)
        links = page.get(wheel.filename, ())
        if not links:
            version = f"{wheel.filename.split('-')[0]}-{wheel.version}".lower()
            older = (
                ""
                if any(name.lower().startswith(version) for name in page)
                else f", nor any of version {wheel.version}"
            )
            nothing = (
                "" if any(name.endswith((".whl", ".gz", ".zip")) for name in page) else "; its page lists no package"
            )
            raise MirrorFailure("missing", f"it does not list the file{older}{nothing}")
        right = sorted(
            (link for link in links if link.sha256 in (None, wheel.sha256)), key=lambda link: link.sha256 is None
        )
        if not right:
            raise MirrorFailure("wrong", f"it announces sha256 {links[0].sha256}, the lock says {wheel.sha256}")
        return right[0]

    def open(self, link: Link, start: int, end: int | None) -> Body:
        """The file's bytes from ``start`` to ``end`` (None: its end), or all from 0 when the mirror knows no ranges.

        Raises MirrorFailure.
        """
        if link.url.startswith("file:"):
            return _LocalBody(_path(link.url), start)
        headers = {"Accept": "*/*"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        return _WebBody(self._web.get(link.url, headers), start)

    @property
    def heard(self) -> float:
        """Monotonic: when the last answer came."""
        return self._web.heard

    @property
    def connecting(self) -> bool:
        """It waits for its mirror to take it, or for a name server."""
        return self._web.connecting

    @property
    def given_up(self) -> bool:
        """It was aborted: what it says then is no word of the mirror's."""
        return self._web.given_up

    def abort(self) -> None:
        """End what this connection's thread waits for; another thread calls it."""
        self._web.abort()

    def close(self) -> None:
        self._web.close()

    def listed(self, project: str) -> Page:
        """What its page of ``project``, or its one page, offers. Raises MirrorFailure."""
        url = self.mirror.url if self.mirror.kind == "find-links" else project_page(self.mirror.url, project)
        local = url.startswith("file:")
        return self.source.page(url, lambda: self._local_page(url) if local else self._web_page(url), self)

    def text(self, url: str, accept: str = ACCEPT) -> Text:
        """A page as it was sent. Raises MirrorFailure."""
        answer = self._web.get(url, {"Accept": accept})
        try:
            _require_ok(answer, "its index page")
            return Text(answer.read(_LONGEST_PAGE, self.patience), answer.headers.get("Content-Type", ""), answer.url)
        finally:
            answer.close()

    def _web_page(self, url: str) -> Page:
        text = self.text(url)
        page = parse(text.body, text.kind, text.url)
        links = [link.url for found in page.values() for link in found]
        if any(link.lower().startswith("file:") for link in links):
            raise MirrorFailure("refused", "its index page points into this host's own files")
        if url.startswith("https:") and any(link.lower().startswith("http:") for link in links):
            raise MirrorFailure("refused", "its index page points from https to addresses without encryption")
        return page

    def _local_page(self, url: str) -> Page:
        """A folder's index.html or, without one, its files; for an index without project folders, its own files."""
        path = _path(url)
        try:
            if self.mirror.kind == "simple" and not path.exists():
                path = path.parent
            if path.is_dir() and (path / "index.html").is_file() and path != _path(self.mirror.url):
                path = path / "index.html"
            if path.is_file():
                return parse(path.read_bytes(), "text/html", path.as_uri())
            return {file.name: (Link(file.as_uri()),) for file in path.iterdir() if file.is_file()}
        except OSError as error:
            raise MirrorFailure("unreachable", f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise MirrorFailure("unreachable", f"{path.as_uri()} is no path: {error}") from error


def patiently(operation: Callable[[], T], patience: Patience) -> T:
    """The result of ``operation``, tried again after failures that may pass."""
    for attempt in range(patience.retries):
        try:
            return operation()
        except MirrorFailure as failure:
            if not failure.retry or failure.kind == "unreachable":
                raise
            time.sleep(patience.pause * 2**attempt)
    return operation()


class _WebBody:
    def __init__(self, answer: Answer, offset: int) -> None:
        self._answer = answer
        self.url = answer.url
        try:
            _require_ok(answer, "the file")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise MirrorFailure("refused", "it delivers the file compressed")
            self.start, self.total = _range(answer, offset)
        except MirrorFailure:
            answer.close()
            raise

    @property
    def cut(self) -> bool:
        return self._answer.cut

    def read_into(self, memory: memoryview) -> int:
        return self._answer.read_into(memory)

    def close(self) -> None:
        self._answer.close()


class _LocalBody:
    total: int | None
    cut = False

    def __init__(self, path: Path, offset: int) -> None:
        self.url = path.as_uri()
        try:
            self._file = io.FileIO(path)
            size = self.total = path.stat().st_size
        except OSError as error:
            kind: Kind = "missing" if isinstance(error, FileNotFoundError) else "unreachable"
            raise MirrorFailure(kind, f"{path}: {error.strerror}") from error
        self.start = min(offset, size)
        self._file.seek(self.start)

    def read_into(self, memory: memoryview) -> int:
        try:
            return self._file.readinto(memory) or 0
        except OSError as error:
            raise MirrorFailure("broken", f"it cannot be read: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()


def _require_ok(answer: Answer, what: str) -> None:
    status = answer.status
    if status in (200, 206):
        return
    ends = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", "").strip())
    if status == 416 and ends:
        raise MirrorFailure("wrong", f"its file ends at {ends[1]} bytes")
    words = f"{what}: HTTP {status} {http.client.responses.get(status, '')}".rstrip()
    if status in (404, 410):
        raise MirrorFailure("missing", words)
    if status in (429, 503):
        raise MirrorFailure("limited", words, retry=True, wait=_seconds(answer.headers.get("Retry-After", "")))
    if status >= 500:
        raise MirrorFailure("broken", words, retry=True)
    raise MirrorFailure("refused", words)


def _range(answer: Answer, offset: int) -> tuple[int, int | None]:
    """Where the body starts, and the whole file's size. Captive portals answer 200 with a page, or with nothing."""
    length = answer.headers.get("Content-Length", "")
    if answer.status == 200:
        if length == "0" or answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise MirrorFailure("refused", "instead of the file it sends an empty answer or a web page")
        return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    stated = re.fullmatch(
        r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", "").strip()
    )
    if not stated or int(stated[1]) != offset:
        raise MirrorFailure("broken", "it answers with another range than the one asked for")
    return offset, None if stated[3] == "*" else int(stated[3])


def _seconds(retry_after: str) -> float | None:
    """``Retry-After`` as seconds from now: it is a number or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _path(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))
