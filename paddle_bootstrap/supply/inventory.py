"""What a lock or a target is made of, as data: the input of a bill of materials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class File:
    """One wheel. ``mirrors`` are those that sent bytes of it, name and address without secrets, as far as that is known."""

    filename: str
    sha256: str
    size: int | None
    mirrors: tuple[str, ...] = ()
    vouched: str | None = None  # for a digest that no index publishes: how it is known


@dataclass(frozen=True)
class Part:
    """One package. A target has one file of it, a lock one for each Python or system."""

    name: str
    version: str
    files: tuple[File, ...]
    licences: tuple[str, ...] = ()  # as its makers declare them; empty where nobody has read its metadata


@dataclass(frozen=True)
class Inventory:
    """``seed`` is what the document's serial number follows from: equal inventories get equal ones."""

    name: str
    version: str | None
    seed: str
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]  # of the whole: names and values
    created: datetime | None = None
