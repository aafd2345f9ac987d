"""Facts of this host, read while other things go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timezone
from threading import Thread

from paddle_bootstrap.host.facts import HostFacts, Unknown
from paddle_bootstrap.stages.wish import Wish


def read_facts(wish: Wish) -> HostFacts:
    """This host, and the file systems that the target and the store are on."""
    from paddle_bootstrap.host.collect import collect  # with a named lock nobody asks, and the imports are slow
    from paddle_bootstrap.results import store

    facts = collect(root=wish.root, environ=wish.environ, paths={"target": wish.env, "store": wish.store})
    return replace(facts, accepted=_accepted(facts, store.last_accepted(wish.environ, facts.hostname)))


def _accepted(facts: HostFacts, when: datetime | None) -> float | None:
    """Seconds after boot; None for a run before it."""
    if when is None or isinstance(facts.uptime, Unknown):
        return None
    seconds = facts.uptime - (datetime.now(timezone.utc) - when).total_seconds()
    return seconds if 0 <= seconds <= facts.uptime else None


def reading_facts(wish: Wish) -> Callable[[], HostFacts]:
    """Begin to read the facts in a thread; the function returned waits for them."""
    future: Future[HostFacts] = Future()

    def read() -> None:
        try:
            future.set_result(read_facts(wish))
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            future.set_exception(error)

    Thread(target=read, daemon=True).start()
    return future.result
