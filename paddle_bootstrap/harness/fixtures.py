"""The fixtures that checks may ask for: host, lock, gpus, device, run, measure, warn. A new one needs two checks that want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from paddle_bootstrap.harness.channel import WorkloadBroken, WorkloadFailed
from paddle_bootstrap.harness.clock import Clock
from paddle_bootstrap.harness.devices import Device, NoDevice, devices, why_none
from paddle_bootstrap.harness.pool import Seat
from paddle_bootstrap.harness.subject import Session
from paddle_bootstrap.host.facts import Gpu, HostFacts
from paddle_bootstrap.lock.model import Build, Wheel
from paddle_bootstrap.results.model import Measurement

RUN_SECONDS = 60.0


class RequirementMissing(Exception):
    """What the lock asks for is not there: the check fails, it is never skipped."""


@dataclass(frozen=True)
class LockView:
    """What is known of the installed build."""

    build: Build
    wheels: tuple[Wheel, ...]
    receipt: Mapping[str, Any] | None


@dataclass
class Notes:
    """What one check said and used while it ran."""

    measurements: list[Measurement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    seats: set[Seat] = field(default_factory=set)


notes_of = pytest.StashKey[Notes]()
clock_of = pytest.StashKey[Clock]()


def notes_on(item: pytest.Item) -> Notes:
    return item.stash.setdefault(notes_of, Notes())


class Fixtures:
    """A plugin of fixtures over one session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @pytest.fixture(scope="session")
    def host(self) -> HostFacts:
        return self.session.facts()

    @pytest.fixture(scope="session")
    def lock(self) -> LockView:
        subject = self.session.subject
        if subject.build is None:
            pytest.skip("no receipt: this environment was not installed by paddle-bootstrap, and no --lock was given")
        return LockView(subject.build, subject.wheels, subject.receipt)

    @pytest.fixture(scope="session")
    def gpus(self, host: HostFacts) -> tuple[Gpu, ...]:
        if self.session.subject.device == "cpu":
            return ()
        meant = tuple(device.gpu for device in devices(host) if device.gpu)
        if not meant:
            raise RequirementMissing(f"no usable GPU: {why_none(host)}")
        return meant

    @pytest.fixture
    def device(self, request: pytest.FixtureRequest) -> Device:
        found = request.param
        if isinstance(found, NoDevice):
            raise RequirementMissing(f"no usable GPU: {found.reason}")
        assert isinstance(found, Device)
        return found

    @pytest.fixture
    def measure(self, request: pytest.FixtureRequest) -> Callable[[str, float, str], None]:
        def measure(name: str, value: float, unit: str) -> None:
            notes_on(request.node).measurements.append(Measurement(str(name), float(value), str(unit)))

        return measure

    @pytest.fixture
    def warn(self, request: pytest.FixtureRequest) -> Callable[[str], None]:
        return lambda text: notes_on(request.node).warnings.append(str(text))

    @pytest.fixture
    def run(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        clock: Clock = request.node.stash[clock_of]
        notes = notes_on(request.node)
        calls = self.session.calls(request.node, notes.seats)

        def run(
            workload: str, *, device: int | str | None = None, deadline: float = RUN_SECONDS, **arguments: Any
        ) -> Any:
            try:
                with clock.paused():
                    return calls(workload, device, clock.deadline(deadline), arguments)
            except (WorkloadFailed, WorkloadBroken) as failed:
                notes.evidence.update(failed.evidence)
                raise

        return run
