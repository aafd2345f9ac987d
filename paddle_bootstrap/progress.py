"""What a stage says while it works. Stages speak to an observer; only the command line decides how it looks.

With no observer installed the library is silent. Nothing here writes to stdout: that carries the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Observer(Protocol):
    """Draws what the stages report."""

    def step(self, message: str) -> None:
        """A stage begins."""

    def note(self, message: str) -> None:
        """A detail, shown with ``-v``."""

    def warn(self, message: str) -> None:
        """Something the user should know although the run goes on."""

    def transfer(self, name: str, done: int, total: int | None) -> None:
        """Bytes of file ``name`` that have arrived (a resumed part included); ``done == total`` ends it."""


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Report to ``observer`` inside the block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def step(message: str) -> None:
    if observer := _observer.get():
        observer.step(message)


def note(message: str) -> None:
    if observer := _observer.get():
        observer.note(message)


def warn(message: str) -> None:
    if observer := _observer.get():
        observer.warn(message)


def transfer(name: str, done: int, total: int | None) -> None:
    if observer := _observer.get():
        observer.transfer(name, done, total)
