"""Facts of this host, read while other things go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.stages.wish import Wish


def read_facts(wish: Wish) -> HostFacts:
    """This host, and the file systems that the target and the store are on."""
    return collect(root=wish.root, environ=wish.environ, paths={"target": wish.env, "store": wish.store})


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
