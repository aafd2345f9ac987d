"""What somebody asks for beside Paddle, judged before any index is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors.redact import redact

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def requirement(text: str, told: str) -> Requirement:
    """What ``text`` asks for. Raises UsageError; ``told`` names the flag or the setting that it stands in."""
    from packaging.requirements import InvalidRequirement, Requirement  # most runs ask for nothing

    said = f"{told}: {redact(text)!r}"
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        reason = redact(str(error).splitlines()[0])
        hint = "write a name and, if you like, versions of it: 'paddleocr==3.2.0'"
        raise UsageError(f"{said} is no requirement: {reason}", hint=hint) from error
    if found.url:
        raise UsageError(
            f"{said} names an address: a lock holds files that an index has",
            hint=f"put the file on an index of yours, and ask for {found.name} by its version",
        )
    return found
