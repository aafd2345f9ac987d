"""The text of a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoBuildFits
from paddle_bootstrap.lock import pieces, pylock
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.rendering import Pin, render
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import SHA

PYTHONS = ["3.9", "3.10", "3.11", "3.12"]
BUILD = {"id": "x", "package": "demo", "version": "1.0", "device": "gpu", "sass": [80], "ptx": [], "cpu_flags": []}
LIBRARIES = {"group": "cuda", "link": True, "needs": {"libcudnn.so": "8"}}
SOURCE = {"pythons": PYTHONS, "groups": {"cuda": ["library"]}, "build": {**BUILD, "libraries": LIBRARIES}}


def pin(name: str, version: str, pythons: list[str], group: str | None = None) -> Pin:
    wheel = Wheel(name, version, f"{name}-{version}-py3-none-any.whl", 5, SHA)
    return Pin(name, version, group, dict.fromkeys(pythons, wheel))


def markers(*pins: Pin) -> list[str]:
    return [line for line in render(SOURCE, pins, 1).splitlines() if line.startswith("marker")]


@pytest.mark.parametrize(
    ("pythons", "group", "marker"),
    [
        (PYTHONS, None, []),
        (PYTHONS, "cuda", ["marker = \"'cuda' in dependency_groups\""]),
        (PYTHONS[:2], None, ["marker = \"python_version <= '3.10'\""]),
        (PYTHONS[2:], None, ["marker = \"python_version >= '3.11'\""]),
        (PYTHONS[1:3], None, ["marker = \"python_version >= '3.10' and python_version <= '3.11'\""]),
        (PYTHONS[3:], "cuda", ["marker = \"'cuda' in dependency_groups and python_version >= '3.12'\""]),
    ],
)
def test_a_range_of_pythons_is_one_marker(pythons: list[str], group: str | None, marker: list[str]) -> None:
    assert markers(pin("demo", "1.0", pythons, group)) == marker


def test_a_hole_in_the_range_is_refused() -> None:
    with pytest.raises(NoBuildFits, match=r"demo 1\.0 is taken by Python 3\.9, 3\.11, which is not one range"):
        markers(pin("demo", "1.0", ["3.9", "3.11"]))


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pylock.x.toml"
    pins = [pin("demo", "1.0", PYTHONS), pin("old", "1", PYTHONS[:1]), pin("library", "2", PYTHONS, "cuda")]
    path.write_text(render(SOURCE, pins, 77), encoding="utf-8")
    lock = pylock.read(path)
    assert lock.build is not None
    assert lock.build.libraries is not None
    assert (lock.build.unpacked_bytes, lock.build.sass, dict(lock.build.libraries.needs)) == (
        77,
        (80,),
        {"libcudnn.so": "8"},
    )
    assert [wheel.name for wheel in pylock.select(lock, cpython("3.9")).wheels] == ["demo", "old", "library"]
    assert [wheel.name for wheel in pylock.select(lock, cpython("3.12"), groups=()).wheels] == ["demo"]


def test_the_order_of_what_is_given_changes_no_byte() -> None:
    wheels = {python: Wheel("demo", "1.0", f"demo-1.0-cp{python.replace('.', '')}.whl", 5, SHA) for python in PYTHONS}
    backwards = dict(reversed(wheels.items()))
    assert render(SOURCE, [Pin("demo", "1.0", None, wheels)], 1) == render(
        SOURCE, [Pin("demo", "1.0", None, backwards)], 1
    )
    assert pieces.render({"a": (SHA,), "b": (SHA,)}) == pieces.render({"b": (SHA,), "a": (SHA,)})
