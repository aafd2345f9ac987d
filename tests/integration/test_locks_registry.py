"""Every file of every shipped lock is on PyPI, with that sha256 and that size."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors import official
from tests.unit.lock.cpython import cpython

ACCEPT = {"Accept": "application/vnd.pypi.simple.v1+json"}
AT_ONCE = 4  # pages
SECONDS = 20.0

pytestmark = pytest.mark.registry


@pytest.fixture(scope="module")
def locked() -> frozenset[Wheel]:
    """What any Python can get from any shipped lock."""
    locks = map(pylock.read, pylock.shipped())
    selections = (pylock.select(lock, cpython(python)) for lock in locks for python in pylock.pythons(lock))
    return frozenset(wheel for selection in selections for wheel in selection.wheels)


@pytest.fixture(scope="module")
def listed(locked: frozenset[Wheel]) -> dict[str, Any]:
    """What PyPI says of every file, by name, of every project that a lock names."""
    address = official.address()
    assert address is not None
    pages = [f"{address.rstrip('/')}/{name}/" for name in sorted({wheel.name for wheel in locked})]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {file["filename"]: file for files in pool.map(files_of, pages) for file in files}


def files_of(page: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(urllib.request.Request(page, headers=ACCEPT), timeout=SECONDS) as response:
        files: list[dict[str, Any]] = json.load(response)["files"]
        return files


def test_every_locked_file_is_there(locked: frozenset[Wheel], listed: dict[str, Any]) -> None:
    said = {
        wheel.filename: (file["size"], file["hashes"]["sha256"])
        for wheel in locked
        if (file := listed.get(wheel.filename))
    }
    assert said == {wheel.filename: (wheel.size, wheel.sha256) for wheel in locked}


def test_no_row_of_a_lock_escapes_this_test(locked: frozenset[Wheel]) -> None:
    """A row that no Python takes would never be asked about."""
    rows = [line for path in pylock.shipped() for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({wheel.filename for wheel in locked}) == len({row for row in rows if row.startswith("    { name = ")})
