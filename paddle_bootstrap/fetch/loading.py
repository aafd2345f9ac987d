"""One index page of a mirror, that all its connections need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.index_page import Page

LOADERS = 3  # connections that load it at the same time
POLL = 0.1  # seconds between looks at whether who waits is still wanted


class Loader(Protocol):
    """A connection: when it was last heard of (monotonic), and whether somebody has ended it."""

    @property
    def heard(self) -> float: ...
    @property
    def given_up(self) -> bool: ...


class Loading:
    """The first who asks loads the page, the others wait for that; while nothing comes, one after the other loads it too."""

    def __init__(self, silence: float) -> None:
        self._silence = silence  # seconds
        self._news = threading.Condition()
        self._by: list[Loader] = []
        self._began = 0.0  # monotonic: when the last of them began
        self._page: Page | None = None
        self._failure: BaseException | None = None

    def get(self, load: Callable[[], Page], by: Loader) -> Page:
        """The page. Raises what the last who loaded it has met, and MirrorFailure once ``by`` is given up."""
        with self._news:
            while not self._is_needed():
                if self._page is not None:
                    return self._page
                if self._failure:
                    raise self._failure
                if by.given_up:
                    raise MirrorFailure("broken", "it was given up", retry=True)
                self._news.wait(POLL)
            self._by.append(by)
            self._began = time.monotonic()
        try:
            page = load()
        except BaseException as error:
            with self._news:
                self._by.remove(by)
                passing = by.given_up or (isinstance(error, MirrorFailure) and error.retry and self._by)
                self._failure = self._failure or (None if passing else error)
                self._news.notify_all()
            raise
        with self._news:
            self._by.remove(by)
            self._page = page
            self._news.notify_all()
        return page

    @property
    def failed(self) -> bool:
        """All who wait, or come, get a failure."""
        return self._failure is not None

    def _is_needed(self) -> bool:
        """One more should load it."""
        if self._page is not None or self._failure or len(self._by) >= LOADERS:
            return False
        heard = max(self._began, *(each.heard for each in self._by)) if self._by else 0.0
        return time.monotonic() - heard > self._silence
