"""The fixtures that checks may ask for: host, lock, gpus, device, reading, every_reading, run, cuda, measure,
speed, warn, kernel_log_now.

A new one needs two checks that want it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from paddle_bootstrap.harness.calls import Calls
from paddle_bootstrap.harness.devices import Device, NoDevice, devices, why_none
from paddle_bootstrap.harness.markers import level_of
from paddle_bootstrap.harness.notes import clock_of, notes_on
from paddle_bootstrap.harness.pool import Pool
from paddle_bootstrap.harness.readings import Reading, Sweep
from paddle_bootstrap.harness.speed import Gauge
from paddle_bootstrap.harness.subject import Session
from paddle_bootstrap.host import kernel_log
from paddle_bootstrap.host.facts import Gpu, HostFacts, Unknown
from paddle_bootstrap.host.rootfs import root_from
from paddle_bootstrap.lock.model import Build, Wheel


class RequirementMissing(Exception):
    """What the lock asks for is not there: the check fails, it is never skipped."""


@dataclass(frozen=True)
class LockView:
    """What is known of the installed build."""

    build: Build
    wheels: tuple[Wheel, ...]
    receipt: Mapping[str, Any] | None


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

    @pytest.fixture
    def gpus(self, host: HostFacts, request: pytest.FixtureRequest) -> tuple[Gpu, ...]:
        """The GPUs meant; a load gets only those that may be loaded."""
        if self.session.subject.device == "cpu":
            return ()
        meant = [device for device in devices(host) if device.gpu]
        if not meant:
            raise RequirementMissing(f"no usable GPU: {why_none(host)}")
        held = {} if level_of(request.node) == "quick" else self.session.trial.held
        free = tuple(device.gpu for device in meant if device.gpu and device.label not in held)
        if not free:
            pytest.skip("no GPU may be loaded: " + "; ".join(held.values()))
        return free

    @pytest.fixture
    def device(self, request: pytest.FixtureRequest) -> Device:
        found = request.param
        if isinstance(found, NoDevice):
            if {"reading", "cuda"} & set(request.fixturenames):  # the checks of the host say what is wrong, once
                pytest.skip(f"no usable GPU: {found.reason}")
            raise RequirementMissing(f"no usable GPU: {found.reason}")
        assert isinstance(found, Device)
        return found

    @pytest.fixture
    def reading(self, device: Device) -> Reading:
        return Reading(self.session.sweeps, device)

    @pytest.fixture
    def every_reading(self) -> Callable[[], Sweep]:
        """Of all GPUs that are meant, in a check that is not run once for each; asked for only when it is called."""
        return self.session.sweeps.first

    @pytest.fixture
    def kernel_log_now(self) -> Callable[[], tuple[kernel_log.KernelLine, ...] | Unknown]:
        return lambda: kernel_log.read(root_from(self.session.trial.environ))

    @pytest.fixture
    def measure(self, request: pytest.FixtureRequest) -> Callable[..., None]:
        return Gauge(self.session, request.node).measure

    @pytest.fixture
    def speed(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        return Gauge(self.session, request.node).speed

    @pytest.fixture
    def warn(self, request: pytest.FixtureRequest) -> Callable[..., None]:
        def warn(text: str, *, busy: bool = False) -> None:
            """``busy``: another process uses this GPU, so it gets no load."""
            notes = notes_on(request.node)
            notes.warnings.append(str(text))
            notes.busy = notes.busy or busy

        return warn

    @pytest.fixture
    def run(self, request: pytest.FixtureRequest) -> Calls:
        return self._calls(request, self.session.trial.pool)

    @pytest.fixture
    def cuda(self, request: pytest.FixtureRequest) -> Calls:
        return self._calls(request, self.session.trial.bare)

    def _calls(self, request: pytest.FixtureRequest, pool: Pool | None) -> Calls:
        return Calls(self.session, request.node, pool, request.node.stash[clock_of], notes_on(request.node))
