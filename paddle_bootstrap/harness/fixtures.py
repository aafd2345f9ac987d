"""The fixtures that checks may ask for: host, lock, gpus, device, run, measure, warn. A new one needs two checks that want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from paddle_bootstrap.harness.devices import Device, NoDevice, devices, why_none
from paddle_bootstrap.harness.pool import WorkloadFailed
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
    """What one check said while it ran."""

    measurements: list[Measurement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)


notes_of = pytest.StashKey[Notes]()


class Fixtures:
    """A plugin of fixtures over one session (see session.Session)."""

    def __init__(self, session: Any) -> None:
        self.session = session

    @pytest.fixture(scope="session")
    def host(self) -> HostFacts:
        facts: HostFacts = self.session.facts()
        return facts

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
    def notes(self, request: pytest.FixtureRequest) -> Notes:
        return request.node.stash.setdefault(notes_of, Notes())

    @pytest.fixture
    def measure(self, notes: Notes) -> Callable[[str, float, str], None]:
        def measure(name: str, value: float, unit: str) -> None:
            notes.measurements.append(Measurement(name, float(value), unit))

        return measure

    @pytest.fixture
    def warn(self, notes: Notes) -> Callable[[str], None]:
        return notes.warnings.append

    @pytest.fixture
    def run(self, request: pytest.FixtureRequest, notes: Notes) -> Callable[..., Any]:
        calls = self.session.calls(request.node)

        def run(workload: str, *, device: int | str | None = None, deadline: float = RUN_SECONDS, **arguments: Any) -> Any:
            try:
                return calls(workload, device, deadline, arguments)
            except WorkloadFailed as failed:
                notes.evidence.update(failed.evidence)
                raise

        return run
