"""Fetching from the server that most mirrors run: ranges, limits, kept connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch.block_map import BLOCK, BlockMap
from paddle_bootstrap.fetch.fetch import fetch
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.mirrors.model import mirror_at
from tests.fakes.mirror import make_wheel
from tests.fakes.nginx import nginx, program

pytestmark = pytest.mark.skipif(program() is None, reason="nginx is not installed")

WHEEL, DATA = make_wheel("demo", size=9_000_000)
NAME = WHEEL.filename
EXTRA = """
    location /gone/ { return 404; }
    location /busy/ { return 503; }
    location /forbidden/simple/ { alias SITE/simple/; }
    location /forbidden/files/ { return 403; }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "files").mkdir()
    (folder / "files" / NAME).write_bytes(DATA)
    (folder / "simple" / "demo").mkdir(parents=True)
    (folder / "simple" / "demo" / "index.html").write_text(
        f'<a href="../../files/{NAME}#sha256={WHEEL.sha256}">{NAME}</a>'
    )
    return folder


@pytest.fixture(scope="module")
def root(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("nginx") / "state"
    with nginx(site, state, EXTRA.replace("SITE", str(site))) as address:
        yield address


def test_a_whole_file(root: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    fetched = fetch([WHEEL], build=None, mirrors=[mirror_at(f"{root}/simple")], store=store, environ={})
    assert fetched.files[NAME].read_bytes() == DATA


def test_the_rest_of_a_file(root: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.partial(WHEEL).parent.mkdir(parents=True)
    store.partial(WHEEL).write_bytes(DATA)
    arrived = BlockMap(store.map_of(WHEEL), len(DATA))
    for block in range(40):
        arrived.record_written(block)
    arrived.close()
    fetched = fetch([WHEEL], build=None, mirrors=[mirror_at(f"{root}/simple")], store=store, environ={})
    [record] = fetched.transfers
    assert (record.resumed_bytes, record.bytes) == (40 * BLOCK, len(DATA) - 40 * BLOCK)
    assert fetched.files[NAME].read_bytes() == DATA


def test_mirror_after_mirror(root: str, tmp_path: Path) -> None:
    places = [mirror_at(f"{root}/{name}/simple") for name in ("gone", "busy", "forbidden")]
    patience = Patience(pause=0.0)
    with pytest.raises(NoMirrorServes) as caught:
        fetch([WHEEL], build=None, mirrors=places, store=Store(tmp_path), patience=patience, environ={})
    assert [line.rpartition(": ")[2] for line in caught.value.tried] == [
        "HTTP 404 Not Found",
        "HTTP 503 Service Unavailable",
        "HTTP 403 Forbidden",
    ]
    places.append(mirror_at(f"{root}/simple"))
    fetched = fetch([WHEEL], build=None, mirrors=places, store=Store(tmp_path), patience=patience, environ={})
    assert fetched.transfers[-1].outcome == "fetched"
