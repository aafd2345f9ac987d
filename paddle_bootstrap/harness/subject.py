"""What is judged and how, and one folder of checks at work on it: what the plugin and the fixtures share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_bootstrap.harness.acceptance import Acceptance
from paddle_bootstrap.harness.devices import family
from paddle_bootstrap.harness.pool import Pool, Seat
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Device, Wheel
from paddle_bootstrap.results.model import CheckResult, Level

if TYPE_CHECKING:  # pytest is imported after the worker has been started
    import pytest

    from paddle_bootstrap.harness.readings import Sweeps
    from paddle_bootstrap.harness.rounds import Rounds

HERE = Path(__file__).parent
TEXT = 8192  # characters kept of what pytest says
STARTUP_SECONDS = 5.0  # of --within: for facts, readings and the first import of Paddle


@dataclass(frozen=True)
class Subject:
    """What is judged. ``env`` None: the host alone, before there is a target."""

    env: Path | None
    python: Path | None
    device: Device
    build: Build | None
    wheels: tuple[Wheel, ...] = ()
    receipt: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Options:
    """How it is judged. ``host_only``: by what needs no target. ``within``: seconds, None: as long as it takes."""

    level: Level = "quick"
    keyword: str | None = None
    host_only: bool = False
    within: float | None = None
    force_load: bool = False  # also on GPUs that failed a quick check
    allow_busy: bool = False  # also on GPUs that another process uses
    accepted: tuple[Acceptance, ...] = ()
    baseline: Path | None = None  # a site's own floors


@dataclass
class Trial:
    """What lasts from the first folder of checks to the last."""

    subject: Subject
    options: Options
    facts: Callable[[], HostFacts]
    environ: Mapping[str, str]
    on_result: Callable[[CheckResult], None]
    pool: Pool | None  # of workers in the target
    bare: Pool = field(init=False)  # of workers in our own Python: the CUDA driver without a framework
    held: dict[str, str] = field(default_factory=dict)  # "gpu3" -> why it gets no load
    known: dict[str, Path] = field(
        default_factory=dict
    )  # every check there is, chosen or not: "memory.rows" -> its file
    began: float = field(default_factory=time.monotonic)
    room: float | None = field(init=False)  # seconds that --within leaves to the folders to come

    def __post_init__(self) -> None:
        within = self.options.within
        self.room = None if within is None else within - STARTUP_SECONDS
        self.bare = Pool(Path(sys.executable), dict(self.environ), ahead=None, name="cuda")


@dataclass
class Session:
    """One folder of checks: what the plugin and the fixtures share."""

    trial: Trial
    folder: Path
    sweeps: Sweeps
    rounds: Rounds
    ours: bool = False  # pytest may keep what it compiles; beside a site's checks nothing is written
    meant: dict[str, set[int]] = field(default_factory=dict)  # a check -> the GPUs it was chosen for

    @property
    def subject(self) -> Subject:
        return self.trial.subject

    @property
    def options(self) -> Options:
        return self.trial.options

    def facts(self) -> HostFacts:
        return self.trial.facts()

    def meant_now(self, item: pytest.Item, *, load: bool) -> set[int]:
        """The GPUs that ``item``'s check was chosen for, but for those that hang; those that get no load are none of a load's."""
        without = {*self.sweeps.silent(), *(self.trial.held if load else ())}
        return {index for index in self.meant.get(family(item), set()) if f"gpu{index}" not in without}

    def pools(self) -> tuple[Pool, ...]:
        return tuple(pool for pool in (self.trial.pool, self.trial.bare) if pool)

    def rest_other(self, working: Pool) -> None:
        """A load gets the memory that workers of the other kind still hold."""
        for pool in self.pools():
            if pool is not working:
                pool.rest()

    def rest_all(self) -> None:
        """The same before a load that starts processes of its own; on the CPU there is nothing to give back."""
        for pool in self.pools() if self.subject.device == "gpu" else ():
            pool.rest()

    def evidence(self, seats: set[tuple[str, Seat]]) -> dict[str, str]:
        """What the workers of ``seats`` have written."""
        used = [(pool, seat) for pool in self.pools() for name, seat in seats if name == pool.name]
        return {name: text for pool, seat in used for name, text in pool.evidence(seat).items()}

    def discard(self, seats: set[tuple[str, Seat]]) -> None:
        """A check failed that used these: CUDA errors stick, so the next call gets a fresh worker."""
        for pool in self.pools():
            for name, seat in seats:
                if name == pool.name:
                    pool.discard(seat)


def built_in_checks() -> Path:
    """The checks that come with the tool: inside the package when installed, beside it in a checkout."""
    package = HERE.parent
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"
