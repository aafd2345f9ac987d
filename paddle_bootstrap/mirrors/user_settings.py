"""What the user's own pip and uv are set to, as data that both readers fill."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paddle_bootstrap.mirrors.credentials import Login
from paddle_bootstrap.mirrors.redact import redact


@dataclass(frozen=True)
class Entry:
    """One index or folder of the user's. ``url`` may hold credentials, so it is never shown."""

    url: str = field(repr=False)
    kind: Literal["simple", "find-links"]
    origin: str  # "index-url in /etc/pip.conf"
    name: str = ""  # only uv has names
    login: Login | None = None


@dataclass(frozen=True)
class UserSettings:
    """The settings of one tool."""

    entries: tuple[Entry, ...] = ()
    default: Entry | None = None  # the index that the tool asks when nothing else is said; None: its built-in one
    certificate: str | None = None
    proxy: str | None = field(default=None, repr=False)
    unchecked: str = ""  # where it says that a certificate need not be checked
    no_index: bool = False  # the user wants no index asked at all


@dataclass(frozen=True)
class Level:
    """One place that a tool takes settings from. ``says`` is fit for anybody's eyes."""

    name: str  # "user"
    place: str  # a file, or a variable
    says: tuple[tuple[str, str], ...]  # (key, value)
    exists: bool = True


def is_true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on", "t", "y")


def local_address(text: str, base: Path) -> str:
    """``text`` if it is an address, else the ``file://`` address of that path; relative ones start at ``base``."""
    if "://" in text or text.startswith("file:"):
        return text
    place = base / os.path.expanduser(text)  # noqa: PTH111 no error for the home of nobody
    if not os.path.lexists(place):  # an address without its scheme, perhaps, and with a password
        place = base / redact(text)
    return place.absolute().as_uri()
