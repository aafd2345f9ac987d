"""Finds a file's address on a mirror: PEP 691 JSON, PEP 503 HTML, a page or folder of links, or a plain folder tree."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import url2pathname

from paddle_bootstrap.fetch.connection import Refused, Session
from paddle_bootstrap.lock.model import Wheel

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
PAGE_LIMIT = 64 * 1024 * 1024  # bytes; the largest known index page is a tenth of it


def locate(session: Session, wheel: Wheel, build: str | None) -> str:
    """The address of ``wheel`` on the session's mirror. Raises Refused with why there is none."""
    base = session.mirror.folder(build)
    if base is None:
        raise Refused("its folders are per build, and this lock names none")
    if session.mirror.kind == "direct":
        return f"{base}/{wheel.name}/{quote(wheel.filename)}"
    page = base if session.mirror.kind == "find-links" else f"{base}/{wheel.name}/"
    links = _local_links(page) if page.startswith("file:") else _links(session, page)
    if wheel.filename not in links:
        raise Refused(f"its page does not list {wheel.filename}" if links else "its page lists nothing")
    return links[wheel.filename]


def _links(session: Session, page: str) -> dict[str, str]:
    response, final = session.get(page, {"Accept": ACCEPT})
    body = response.read(PAGE_LIMIT)
    if response.status != 200:
        raise Refused(f"HTTP {response.status} for the page {urlsplit(page).path}", status=response.status)
    if "json" in response.headers.get("Content-Type", ""):
        return _json_links(body, final)
    return _html_links(body.decode("utf-8", "replace"), final)


def _json_links(body: bytes, page: str) -> dict[str, str]:
    try:
        return {file["filename"]: urljoin(page, file["url"]) for file in json.loads(body)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"its page is not PEP 691 JSON ({type(error).__name__})") from error


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.hrefs.append(href)


def _html_links(text: str, page: str) -> dict[str, str]:
    anchors = _Anchors()
    anchors.feed(text)
    absolute = [urljoin(page, href).split("#")[0] for href in anchors.hrefs]
    return {unquote(urlsplit(url).path.rpartition("/")[2]): url for url in absolute}


def _local_links(page: str) -> dict[str, str]:
    """Links of a file:// index or folder: an index.html, an HTML file, or the folder's own wheels."""
    path = Path(url2pathname(urlsplit(page).path))
    try:
        html = path / "index.html" if path.is_dir() else path
        if html.is_file():
            return _html_links(html.read_text(encoding="utf-8"), html.as_uri())
        return {file.name: file.as_uri() for file in path.iterdir() if file.suffix == ".whl"}
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
