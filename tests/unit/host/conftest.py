"""What every test of the host's facts needs: to read a fake host as a run does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import HostFacts
from tests.fakes.host import FakeHost


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., HostFacts]:
    """The facts of a fake host: ``read(FakeHost(...), deadline=1)``."""

    def reader(host: FakeHost, *, deadline: float = 30, paths: dict[str, Path] | None = None, **more: str) -> HostFacts:
        environ = {**os.environ, **host.write(tmp_path / "host"), **more}
        return collect(root=Path(environ["PADDLE_BOOTSTRAP_ROOTFS"]), environ=environ, paths=paths, deadline=deadline)

    return reader


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes one file of a host below ``tmp_path`` and returns that root: ``put("etc/os-release", "...")``."""

    def writer(path: str, content: str | bytes) -> Path:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return writer
