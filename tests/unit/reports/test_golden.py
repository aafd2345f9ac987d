"""Every report of every kind of run, as it is shown: ``--update-golden`` rewrites the files, git shows what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from paddle_bootstrap.reports import FORMATS, terminal
from paddle_bootstrap.results.model import Results
from tests.unit.results.runs import RUNS

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "reports"
FORMS: Mapping[str, Callable[[Results], str]] = {
    **FORMATS,
    "verbose": partial(terminal.render, verbose=True),
    "ascii": partial(terminal.render, encoding="ascii"),
    "color": partial(terminal.render, color=True),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RUNS)
def test_the_report_is_the_golden_one(name: str, form: str, pytestconfig: pytest.Config) -> None:
    path = GOLDEN / f"{name}.{RUNS[name].exit_code}.{form}"
    said = FORMS[form](RUNS[name])
    if pytestconfig.getoption("--update-golden"):
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


def test_there_is_no_golden_file_too_many() -> None:
    wanted = {f"{name}.{run.exit_code}.{form}" for name, run in RUNS.items() for form in FORMS}
    assert {path.name for path in GOLDEN.iterdir()} == wanted
