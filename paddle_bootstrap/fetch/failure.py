"""Why one mirror did not deliver one file. It never leaves this room: the next is asked, and the reason is listed."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "missing",  # it lacks the project or the file
    "refused",  # it does not want to give it: 401, 403, an answer that is no wheel
    "limited",  # 429, 503: it asks to be asked less
    "unreachable",  # no connection, no certificate, no answer
    "broken",  # it answers, and the transfer breaks: 5xx, cut, silence, wrong ranges
    "wrong",  # it delivers, or announces, other bytes than the lock's
]


class MirrorFailure(Exception):
    """One mirror's reason, in words fit for anybody's eyes."""

    def __init__(self, kind: Kind, reason: str, *, retry: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason
        self.retry = retry  # the same mirror may do better in a moment, if it has been reached before
        self.wait = wait  # seconds that it asked for
