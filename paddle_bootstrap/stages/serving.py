"""Whether a build can be had: a mirror's page lists its wheel."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Connection, Source
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.releases.model import Release
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.wish import Wish


def first(wish: Wish, wanted: Iterable[Release], python: str | None) -> Release | None:
    """The first of ``wanted`` whose wheel for ``python`` (None: for any) some mirror lists. Asks one page after another.

    An offline run asks nobody: there it is the first whose lock is shipped.
    """
    if wish.offline:
        return next((each for each in wanted if each.lock), None)
    mirrors = mirrors_of(wish)
    return next((each for each in wanted if _is_served(wish, mirrors, each, python)), None)


def _is_served(wish: Wish, mirrors: Iterable[Mirror], release: Release, python: str | None) -> bool:
    names = {release.filename(each) for each in release.pythons if python in (None, each)}
    for mirror in mirrors:
        usable = mirror.for_build(release.index_folder)
        if usable is None or usable.kind == "files":
            continue
        source = Source(usable, wish.environ, Patience(retries=0), wish.terms.trusted_hosts)
        with closing(source.connect()) as connection:
            if names & _listed(connection, release.package):
                return True
    return False


def _listed(connection: Connection, package: str) -> set[str]:
    try:
        return set(connection.listed(package))
    except MirrorFailure:
        return set()
