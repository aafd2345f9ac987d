"""Takes secrets out of text before anybody sees it: a log, a report, an exception, a lock."""

from __future__ import annotations

import re

# user:password@ or token@ before a host. A password with a bare "/" is no valid address, yet people write it; a port
# followed by a path that holds an "@" is valid, and stays.
_USERINFO = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+/)[^\s@]*@(?:[^/\s@]*@)*|[^/\s]*@)")
# Signed addresses (object stores, caches) carry their permission in the query.
_QUERY = re.compile(r"(?<=[?&])([\w.~-]+)=[^&#\s\"'<>]+")


def redact(text: str) -> str:
    """``text`` with every address's user, password and query values replaced by ``***``."""
    return _QUERY.sub(r"\1=***", _USERINFO.sub("***@", text))
