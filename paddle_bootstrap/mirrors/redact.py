"""Takes secrets out of text before anybody sees it: a log, a report, an exception, a lock."""

from __future__ import annotations

import re

# user:password@ or token@ before a host. A password with a bare "/" is no valid address, yet people write it; a port
# followed by a path that holds an "@" is valid, and stays. Proxies are written without a scheme as well.
_USERINFO = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+/)[^\s@]*@(?:[^/\s@]*@)*|[^/\s]*@)")
_BARE = re.compile(r"(?<![^=\"'(,])[^/:=\"'(,]+:(?!//|\d+/)(?:(?!://)[^@])*@(?!sha256:)(?:[^/@]*@)*")
_WORD = re.compile(r"\S+")
# Signed addresses (object stores, caches) carry their permission in the query.
_QUERY = re.compile(r"(?<=[?&])([\w.~-]+)=[^&#\s\"'<>]+")
_CLOSING = re.compile(r"\)[.,;:]?$")


def redact(text: str) -> str:
    """``text`` with every address's user, password and query values replaced by ``***``."""
    return _QUERY.sub(_hidden, _USERINFO.sub("***@", _WORD.sub(_without_scheme, text)))


def _without_scheme(word: re.Match[str]) -> str:
    return _BARE.sub("***@", word[0]) if "@" in word[0] else word[0]


def _hidden(found: re.Match[str]) -> str:
    """A value may end in a parenthesis, and so may the text around an address: that one was opened before it."""
    before, closing = found.string[: found.start()], _CLOSING.search(found[0])
    kept = closing[0] if closing and before.count("(") > before.count(")") else ""
    return f"{found[1]}=***{kept}"
