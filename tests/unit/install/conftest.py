"""Fake wheels, locks and a store in tmp_path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.wheels import Provisioning


@pytest.fixture
def provisioning(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)
