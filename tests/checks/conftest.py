"""What the tests of the checks share: the shipped builds, a healthy host, and a fresh target."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Build
from tests.checks import target
from tests.checks.health import Judge
from tests.checks.judging import seen
from tests.checks.target import FakeTarget
from tests.fakes.host import FakeHost


def shipped(device: str) -> Build:
    builds = [pylock.read(path).build for path in pylock.shipped()]
    return next(build for build in builds if build and build.device == device)


@pytest.fixture(scope="session")
def gpu_build() -> Build:
    return shipped("gpu")


@pytest.fixture(scope="session")
def cpu_build() -> Build:
    return shipped("cpu")


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    """A host with two A100 that every host check passes."""
    return seen(FakeHost(gpus=(FakeHost().gpus[0],) * 2), tmp_path_factory.mktemp("healthy"))[0]


@pytest.fixture
def fake_target(tmp_path: Path) -> FakeTarget:
    return target.make(tmp_path / "target")


@pytest.fixture(scope="session")
def judge_host(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(tmp_path_factory)
