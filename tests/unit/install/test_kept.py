"""The kept state is what the target's pointer names, and nothing that only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.install import clone, kept, swap


@pytest.fixture
def target(tmp_path: Path) -> Path:
    env = tmp_path / "env"
    env.mkdir()
    (env / "old").write_text("")
    return env


def test_one_exchange_brings_the_state_and_its_past(target: Path) -> None:
    place = clone.fresh_name(target)
    clone.make(target, place)
    kept.announce(place)
    assert clone.leftovers(target) == [place], "killed here it is what a killed run left"
    swap.exchange(place, target)
    assert (kept.read(target), clone.leftovers(target)) == (place, [])
    assert clone.remove_leftovers(target) == 0
    assert [path.name for path in place.iterdir()] == ["old"]
    kept.forget(target)
    assert (kept.read(target), clone.leftovers(target)) == (None, [place])


@pytest.mark.parametrize("content", ["", "0123456", "../../etc", "0123456g", "\udcff", "01234567\n01234567"])
def test_a_pointer_that_is_none(target: Path, content: str) -> None:
    pointer = target / ".paddle-bootstrap" / "kept"
    pointer.parent.mkdir()
    pointer.write_text(content, errors="surrogateescape")
    assert kept.read(target) is None


def test_a_pointer_to_what_is_no_folder(target: Path) -> None:
    place = kept.sibling(target, "01234567")
    kept.announce(target)
    pointer = target / ".paddle-bootstrap" / "kept"
    pointer.write_text("01234567")
    assert kept.read(target) is None
    place.symlink_to(target)
    assert kept.read(target) is None
    place.unlink()
    place.mkdir()
    assert kept.read(target) == place


def test_a_target_that_was_moved_has_no_past(target: Path) -> None:
    """Scripts and bytecode of a kept state name the target's path."""
    place = clone.fresh_name(target)
    clone.make(target, place)
    kept.announce(place)
    swap.exchange(place, target)
    assert kept.read(target.rename(target.with_name("moved"))) is None
