"""A record that cannot be understood is told of, never passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddle_bootstrap.fetch import clients
from paddle_bootstrap.fetch.store import Store

GOOD = {"host": "h", "path": "/env", "lock": "one", "wheels": ["a", "b"]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/1.json").write_text(json.dumps(GOOD))
    (tmp_path / "targets/.1.json.77").write_text("{")  # what a killed run left: the record itself is whole
    return Store(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD)[:-3],
        "",
        "5",
        "[" * 100_000,
        *(json.dumps({**GOOD, **change}) for change in ({"wheels": "abc"}, {"wheels": [5]}, {"host": None})),
        *(json.dumps({key: value for key, value in GOOD.items() if key != missing}) for missing in GOOD),
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_record(store: Store, text: str) -> None:
    bad = store.root / "targets/0.json"
    bad.write_text(text)
    found, unread = clients.read(store)
    assert (found, unread) == ([clients.Client("h", "/env", "one", ("a", "b"))], [bad])


def test_what_cannot_be_opened(store: Store) -> None:
    """A folder: nobody can read it as a file, not even root. A link to nothing is a file that is gone."""
    bad = store.root / "targets/0.json"
    bad.mkdir()
    (store.root / "targets/2.json").symlink_to("nowhere")
    assert clients.read(store)[1] == [bad]


def test_no_folder_and_one_that_is_none(tmp_path: Path) -> None:
    assert clients.read(Store(tmp_path)) == ([], [])
    (tmp_path / "targets").write_text("")
    assert clients.read(Store(tmp_path)) == ([], [tmp_path / "targets"])
