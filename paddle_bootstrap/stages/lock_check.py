"""Whether mirrors serve a lock's files: each is asked for every file's page and size, and for none of its bytes but the first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from paddle_bootstrap.errors import NoMirrorServes, WrongBytes
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.source import Connection, Source
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock, Wheel
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.stages.mirrors import mirrors_of
from paddle_bootstrap.stages.wish import Wish


@dataclass(frozen=True)
class Answer:
    """What one mirror says of one file; ``reason`` None: size, and digest where it tells one, are the lock's."""

    wheel: Wheel
    reason: str | None = None
    is_wrong: bool = False  # it states another size or another digest than the lock


@dataclass(frozen=True)
class Serving:
    """One mirror, and its answer for every file of the lock."""

    mirror: Mirror
    answers: tuple[Answer, ...]

    @property
    def served(self) -> frozenset[str]:
        return frozenset(answer.wheel.filename for answer in self.answers if answer.reason is None)

    @property
    def wrong(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if answer.is_wrong)


def ask_all(wish: Wish, lock: Lock) -> tuple[Serving, ...]:
    """Every mirror side by side, one connection each."""
    wheels = [wheel for package in pylock.packages(lock) for wheel in package.wheels]
    folder = lock.build.index_folder if lock.build else None
    mirrors = [mirror for each in mirrors_of(wish) if (mirror := each.for_build(folder))]
    with ThreadPoolExecutor(max_workers=max(1, len(mirrors))) as pool:
        return tuple(pool.map(lambda mirror: _ask(wish, mirror, wheels), mirrors))


def require_served(lock: Lock, found: Sequence[Serving]) -> None:
    """Raises WrongBytes when a mirror states something else than the lock, NoMirrorServes when a file is on none."""
    wrong = [
        f"{each.mirror.redacted}: {answer.wheel.filename}: {answer.reason}" for each in found for answer in each.wrong
    ]
    if wrong:
        raise WrongBytes(
            f"{lock.name}: a mirror has other files under the lock's names",
            tried=wrong,
            hint="do not use that mirror; if all say so, restore the lock",
        )
    files = {wheel.filename for package in pylock.packages(lock) for wheel in package.wheels}
    missing = sorted(files.difference(*(each.served for each in found)))
    if missing:
        raise NoMirrorServes(
            f"{lock.name}: {len(missing)} of {len(files)} files are on no mirror",
            tried=missing if found else ["no mirror is configured for this lock"],
            hint="name another mirror with --mirror, or take another build: paddle-bootstrap plan --all",
        )


def _ask(wish: Wish, mirror: Mirror, wheels: Sequence[Wheel]) -> Serving:
    source = Source(mirror, wish.environ, Patience(retries=0), wish.terms.trusted_hosts)
    with closing(source.connect()) as connection:
        return Serving(mirror, tuple(_answer(connection, wheel) for wheel in wheels))


def _answer(connection: Connection, wheel: Wheel) -> Answer:
    try:
        body = connection.open(connection.find(wheel), 0, 1)
        try:
            total = body.total
        finally:
            body.close()
    except MirrorFailure as failure:
        return Answer(wheel, failure.reason, failure.kind == "wrong")
    if total is not None and wheel.size is not None and total != wheel.size:
        return Answer(wheel, f"it has {total} bytes, the lock says {wheel.size}", is_wrong=True)
    return Answer(wheel)
