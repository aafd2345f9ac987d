"""Addresses without their secrets."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from paddle_bootstrap.mirrors.model import Credentials

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@'\"]*@")
_QUERY = re.compile(r"(?P<address>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?'\"]+)\?[^\s'\"]*")


def redact(text: str) -> str:
    """``text`` with the user information and the query of every URL in it taken out: signed URLs are secrets too."""
    return _QUERY.sub(r"\g<address>?…", _USERINFO.sub(r"\g<scheme>", text))


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """``url`` without user information, and what that was."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    userinfo, _, host = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    bare = urlunsplit(parts._replace(netloc=host))
    return bare, Credentials(unquote(username), unquote(password))
