"""Index pages: PEP 691 JSON and PEP 503 HTML, to one mapping of file names to links."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from paddle_bootstrap.fetch.failure import MirrorFailure

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1, application/xhtml+xml;q=0.05"
)


@dataclass(frozen=True)
class Link:
    """One file that a page offers. What it says of the bytes is only a claim."""

    url: str  # absolute, without fragment; may hold a signature, so it is never shown
    sha256: str | None = None


Page = Mapping[str, tuple[Link, ...]]  # one name can stand for several files: a folder per build


def project_page(index: str, project: str) -> str:
    """The address of ``project``'s page, its name normalised as PEP 503 asks."""
    return f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', project).lower()}/"


def parse(body: bytes, content_type: str, url: str) -> Page:
    """The files of the page at ``url``. Raises MirrorFailure for something that is no page."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind.endswith("json"):
            return _collect(_from_json(body), url)
        return _collect(_from_html(body.decode("utf-8", "replace")), url)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MirrorFailure("refused", f"its index page cannot be read ({type(error).__name__})") from error


def _from_json(body: bytes) -> list[tuple[str, str, str | None]]:
    files: list[dict[str, Any]] = json.loads(body)["files"]
    return [(file["filename"], file["url"], (file.get("hashes") or {}).get("sha256")) for file in files]


def _from_html(text: str) -> list[tuple[str, str, str | None]]:
    reader = _Anchors()
    reader.feed(text)
    reader.close()
    found = []
    for href, label in reader.anchors:
        try:
            target = urlsplit(urljoin(reader.base, href))
        except ValueError:
            continue  # one broken link does not spoil the page
        name = unquote(target.path.rpartition("/")[2])
        digest = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})", target.fragment)
        entry = (target.geturl(), digest[1] if digest else None)
        found.append((name, *entry))
        if label != name and label.endswith(".whl"):  # an index with opaque addresses: the text is the name
            found.append((label, *entry))
    return found


def _collect(files: list[tuple[str, str, str | None]], url: str) -> Page:
    page: dict[str, tuple[Link, ...]] = {}
    for name, href, sha256 in files:
        target = urljoin(url, href).partition("#")[0]
        if not isinstance(name, str):
            raise TypeError("a file without a name")
        target.encode()  # UnicodeError, a ValueError: it could not be asked for
        page[name] = (*page.get(name, ()), Link(target, sha256.lower() if sha256 else None))
    return page


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[tuple[str, str]] = []  # (href, text)
        self.base = ""
        self._href: str | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "base" and href and not self.base:
            self.base = href
        if tag == "a":
            self._finish()
            self._href, self._text = href, []

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._finish()

    def close(self) -> None:
        super().close()
        self._finish()

    def _finish(self) -> None:
        if self._href:
            self.anchors.append((self._href.strip(), "".join(self._text).strip()))
        self._href = None
