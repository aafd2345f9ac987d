from __future__ import annotations

import io
from pathlib import Path

import pytest

from paddle_bootstrap import progress


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (4_194_304, "4.2 MB"),
        (758_943_234, "759 MB"),
        (2_600_000_000, "2.60 GB"),
    ],
)
def test_bytes_read_like_a_download_page(count: int, text: str) -> None:
    assert progress.human_bytes(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_seconds_are_short(seconds: float, text: str) -> None:
    assert progress.human_seconds(seconds) == text


def test_without_an_observer_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    progress.step("silent")
    progress.transfer("file", 1, 2)
    assert capsys.readouterr() == ("", "")


def draw(**settings: bool) -> tuple[str, str]:
    stream, log = io.StringIO(), io.StringIO()
    drawing = progress.Drawing(stream, log=log, **settings)
    with progress.observed_by(drawing):
        progress.step("fetching")
        progress.note("detail")
        progress.warn("careful")
        progress.transfer("a.whl", 0, 100)
        progress.transfer("a.whl", 50, 100)
        progress.transfer("a.whl", 100, 100)
    drawing.finish()
    return stream.getvalue(), log.getvalue()


def test_elsewhere_a_transfer_is_one_plain_line() -> None:
    text, _ = draw()
    lines = text.splitlines()
    assert lines[:2] == ["==> fetching", "warning: careful"]
    assert len(lines) == 3
    assert lines[2].startswith("    a.whl  100 B")
    assert "\r" not in text


def test_on_a_terminal_a_transfer_is_live() -> None:
    text, _ = draw(live=True)
    assert "50 B of 100 B (50 %)" in text
    assert "left" in text


def test_the_live_line_never_wraps() -> None:
    stream = io.StringIO()
    drawing = progress.Drawing(stream, live=True)
    drawing.total(1_000_000_000, 2_650_000_000)
    for done in (1, 50):
        drawing.transfer("nvidia_cublas_cu11-11.11.3.6-py3-none-manylinux2014_x86_64.whl", done, 100)
    lines = [line for line in stream.getvalue().split("\r\x1b[K") if line]
    assert [len(line) <= 79 for line in lines] == [True, True]
    assert "50 %  all: 1.00 GB of 2.65 GB" in lines[-1]
    assert lines[-1].startswith("    nvidia_cublas_cu11")


def test_verbose_shows_notes_and_the_log_has_everything() -> None:
    text, log = draw(verbose=True)
    assert "    detail" in text
    quiet, log = draw()
    assert "detail" not in quiet
    assert [line.split()[1] for line in log.splitlines()] == ["step", "note", "warn", "transfer"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_on_a_full_disk_ends_and_the_run_goes_on(*, as_json: bool) -> None:
    stream = io.StringIO()
    with Path("/dev/full").open("a", encoding="utf-8") as log:
        drawing = progress.JsonLines(stream, log=log) if as_json else progress.Drawing(stream, log=log)
        drawing.step("one")
        drawing.step("two")
    told = stream.getvalue()
    assert told.count("the log file ends here: No space left on device") == 1
    assert "one" in told
    assert "two" in told
