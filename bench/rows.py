"""One scenario, measured: tools take turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import contextlib
import os
import random
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure import Ran, outcome, run
from bench.network import apart
from bench.scenarios import Scenario
from bench.servers import Running, serving
from bench.tools import Job, commands, prepare
from bench.wheels import RealWheel

PATIENCE = 90.0  # seconds that any run may take, on top of twice the slowest mirror's time for the wheel
SMALL = 1 << 20  # bytes
SEED = 4  # of the moments of kill -9: the same for every tool and every run of the bench


@dataclass(frozen=True)
class Run:
    """One run of one tool."""

    scenario: str
    tool: str
    wall: float  # seconds
    cpu: float  # seconds
    rss: int  # bytes
    served: int  # bytes of the wheel, by all mirrors
    size: int  # bytes of the wheel
    outcome: str
    names_liar: bool | None  # its output names the mirror that sent wrong bytes; None: none was sent
    said: str


def measure(
    scenario: Scenario, tools: Sequence[str], reps: int, wheel: RealWheel, python: str, folder: Path
) -> Iterator[Run]:
    """Every run of ``scenario``, as it ends."""
    taken = [tool for tool in tools if tool in scenario.compared]
    with _running(scenario, wheel, folder / "servers") as mirrors:
        certificate = folder / "servers" / "tls" / "ca.pem" if scenario.mirrors[0].tls else None
        job = Job(wheel, mirrors, python, folder / "run", scenario.connections, certificate)
        kind = _killed if scenario.kills else _warm if scenario.warm else _cold
        for rep in range(1 if scenario.kills else reps):  # each moment is a round
            shift = rep % max(1, len(taken))
            for tool in (*taken[shift:], *taken[:shift]):
                yield from kind(scenario, tool, job)
                _clear(job)


@contextlib.contextmanager
def _running(scenario: Scenario, wheel: RealWheel, folder: Path) -> Iterator[list[Running]]:
    with contextlib.ExitStack() as stack:
        if scenario.network is None:
            yield stack.enter_context(serving(scenario.mirrors, wheel, folder, "127.0.0"))
            return
        servers_side = stack.enter_context(apart(scenario.network))
        with servers_side():
            mirrors = stack.enter_context(serving(scenario.mirrors, wheel, folder, "10.77.0"))
        yield mirrors


def _cold(scenario: Scenario, tool: str, job: Job) -> Iterator[Run]:
    prepare(job)
    before = _sent(job.mirrors)
    ran = run(commands(tool, job), job.environ(), job.folder, limit_of(scenario, job))
    yield _row(scenario, tool, job, ran, before)


def _warm(scenario: Scenario, tool: str, job: Job) -> Iterator[Run]:
    """The first target is made outside the clock."""
    prepare(job)
    ran = run(commands(tool, job), job.environ(), job.folder, limit_of(scenario, job))
    second = replace(job, target="second") if ran.code == 0 else job
    os.sync()
    before = _sent(job.mirrors)
    if ran.code == 0:
        ran = run(commands(tool, second), second.environ(), second.folder, limit_of(scenario, job))
    yield _row(scenario, tool, second, ran, before)


def _killed(scenario: Scenario, tool: str, job: Job) -> Iterator[Run]:
    """A run that is left alone tells how long it takes; then one row per moment: killed there, and run again."""
    prepare(job)
    limit = limit_of(scenario, job)
    alone = run(commands(tool, job), job.environ(), job.folder, limit)
    moments = random.Random(SEED)
    for _ in range(scenario.kills):
        _clear(job)
        prepare(job)
        before = _sent(job.mirrors)
        run(commands(tool, job), job.environ(), job.folder, moments.uniform(0.05, 0.95) * alone.wall)
        again = run(commands(tool, job), job.environ(), job.folder, limit)
        yield _row(scenario, tool, job, again, before)


def limit_of(scenario: Scenario, job: Job) -> float:
    """Seconds after which a run has shown that it does not end."""
    return PATIENCE + 2 * job.wheel.size / scenario.slowest


def _row(scenario: Scenario, tool: str, job: Job, ran: Ran, before: tuple[int, int]) -> Run:
    served, lied = (after - so_far for after, so_far in zip(_sent(job.mirrors), before, strict=True))
    named = None
    if scenario.liar is not None and lied:
        named = job.mirrors[scenario.liar].root.partition("//")[2] in ran.said
    said = ran.said if ran.code != 0 or named is not None else ""
    told = outcome(tool, job, ran)
    return Run(scenario.name, tool, ran.wall, ran.cpu, ran.rss, served, job.wheel.size, told, named, said)


def _sent(mirrors: Sequence[Running]) -> tuple[int, int]:
    """Bytes, and how many of them were wrong."""
    return sum(mirror.served() for mirror in mirrors), sum(mirror.lied() for mirror in mirrors)


def _clear(job: Job) -> None:
    """Cold again, and quiet: what the last run wrote is on the disk before the next one begins.

    Its files are emptied and put aside, not removed: for a minute and more ext4 steps over every inode that was freed, one by
    one, for each new file. That would charge a run for its predecessors, and most whoever makes the most files.
    """
    aside = job.folder.with_name("done") / str(time.monotonic_ns())
    aside.parent.mkdir(exist_ok=True)
    job.folder.rename(aside)
    for folder, _, names in os.walk(aside):
        for name in names:
            _empty(f"{folder}/{name}")
    os.sync()


def _empty(path: str) -> None:
    """Free what a file takes; a link leads to files that are not the bench's, and small ones take little."""
    with contextlib.suppress(FileNotFoundError):  # a killed run's last child
        told = os.lstat(path)
        if stat.S_ISREG(told.st_mode) and told.st_size > SMALL:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW))
