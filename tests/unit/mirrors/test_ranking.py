"""What was measured is the starting order for a day, and never outranks what the user says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.model import mirror_at
from paddle_bootstrap.mirrors.ranking import Measured, ordered, remember

A, B, C, D = (mirror_at(f"https://{name}/simple", name=name) for name in "abcd")
FOUND = (Measured(C, 9.0, 0.1, 10), Measured(A, 5.0, 0.1, 10), Measured(B, reason="HTTP 403"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def names(environ: dict[str, str]) -> str:
    return "".join(mirror.name for mirror in ordered([A, B, C, D], environ))


def test_who_serves_first_then_unknown_ones_then_the_rest(environ: dict[str, str]) -> None:
    assert names(environ) == "abcd"
    remember(FOUND, environ)
    assert names(environ) == "cadb"


@pytest.mark.parametrize(("age", "order"), [(86000, "cadb"), (86500, "abcd"), (-60, "abcd")])
def test_for_a_day(environ: dict[str, str], age: float, order: str) -> None:
    remember(FOUND, environ, now=time.time() - age)
    assert names(environ) == order


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"schema": 1}', '{"schema": 2, "measured": 1, "mirrors": []}', "\0", "[" * 100_000],
    ids=range(6),
)
def test_a_file_that_is_not_ours_counts_for_nothing(environ: dict[str, str], content: str) -> None:
    path = Path(environ["HOME"]) / ".cache/paddle-bootstrap/ranking.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert names(environ) == "abcd"


def test_priority_outranks_it(environ: dict[str, str]) -> None:
    remember(FOUND, environ)
    first = mirror_at("https://b/simple", name="b", priority=-1)
    assert [mirror.name for mirror in ordered([A, first, C], environ)] == ["b", "c", "a"]


def test_the_users_own_indexes_stay_first_and_named_mirrors_stay_in_order(
    environ: dict[str, str], tmp_path: Path
) -> None:
    tuna = mirror_at("https://pypi.tuna.tsinghua.edu.cn/simple")
    remember([Measured(tuna, 1.0, 0.1, 1)], environ)
    environ["PIP_INDEX_URL"] = "https://own/simple"
    own, first = configured((), environ, cwd=tmp_path, etc=tmp_path)[:2]
    assert (own.name, first.name) == ("own", "tuna")
    assert [mirror.name for mirror in configured(("ustc", "tuna"), environ, cwd=tmp_path, etc=tmp_path)] == [
        "ustc",
        "tuna",
    ]


def test_it_holds_no_secret(environ: dict[str, str]) -> None:
    remember([Measured(mirror_at("https://me:secret@h/simple?sig=hidden"), 1.0, 0.1, 1)], environ)
    path = Path(environ["HOME"]) / ".cache/paddle-bootstrap/ranking.json"
    assert [row["mirror"] for row in json.loads(path.read_text())["mirrors"]] == ["https://h/simple?sig=***"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_cache_that_cannot_be_written_is_no_failure(environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".cache").write_text("a file")
    remember(FOUND, environ)
    assert names(environ) == "abcd"
