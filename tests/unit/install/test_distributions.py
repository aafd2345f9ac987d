"""What stands in site-packages is compared with the lock, file by file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.install import distributions
from paddle_bootstrap.lock.model import Wheel

WHEEL = Wheel("my-name", "1.0", "my_name-1.0-py3-none-any.whl", 10, "a" * 64)


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    (tmp_path / "My_Name-1.0.0.dist-info").mkdir()
    (tmp_path / "my.py").write_text("123")
    (tmp_path / "a,b.py").write_text("12")
    rows = 'my.py,sha256=x,3\n"a,b.py",sha256=x,2\nmy/link,,\nMy_Name-1.0.0.dist-info/RECORD,,\n'
    (tmp_path / "My_Name-1.0.0.dist-info/RECORD").write_text(rows)
    return tmp_path


def judged(site_packages: Path, wheel: Wheel = WHEEL, installed: Wheel = WHEEL) -> str | None:
    return distributions.deviations(site_packages, [wheel], [asdict(installed)]).get(wheel.name)


def test_as_locked(site_packages: Path) -> None:
    assert judged(site_packages) is None  # 1.0 is 1.0.0, My_Name is my-name, a missing link is the links' business
    assert list(distributions.present(site_packages)) == ["my-name"]


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda place: (place / "my.py").unlink(), "lacks my.py"),
    "quoted": (lambda place: (place / "a,b.py").unlink(), "lacks a,b.py"),
    "edited": (lambda place: (place / "my.py").write_text("1234"), "has a changed file: my.py"),
    "no record": (lambda place: (place / "My_Name-1.0.0.dist-info/RECORD").unlink(), "lacks "),
    "other": (lambda place: (place / "My_Name-1.0.0.dist-info").rename(place / "My_Name-1.1.dist-info"), "is 1.1"),
    "missing": (lambda place: (place / "My_Name-1.0.0.dist-info").rename(place / "x"), "is missing"),
}


@pytest.mark.parametrize("case", CASES)
def test_deviations(site_packages: Path, case: str) -> None:
    damage, expected = CASES[case]
    damage(site_packages)
    told = judged(site_packages)
    assert told is not None
    assert told.startswith(expected)


def test_the_same_version_from_another_file(site_packages: Path) -> None:
    other = Wheel("my-name", "1.0", WHEEL.filename, 10, "b" * 64)
    assert judged(site_packages, WHEEL, other) == "did not come from this lock"
    assert distributions.deviations(site_packages, [WHEEL], []) == {"my-name": "did not come from this lock"}


def test_a_record_is_written_as_it_was_read(site_packages: Path) -> None:
    record = site_packages / "My_Name-1.0.0.dist-info/RECORD"
    assert distributions.text(distributions.rows(record)) == record.read_bytes()


def test_twenty_thousand_files_are_looked_at_once(site_packages: Path) -> None:
    """The 2.6.2 set has about that many: 0.1 s of the processor; minutes, if each were held against the others."""
    record = site_packages / "My_Name-1.0.0.dist-info/RECORD"
    record.write_text("my.py,sha256=x,3\n" * 20_000)
    start = time.process_time()
    assert judged(site_packages) is None
    assert time.process_time() - start < 5


def test_the_folder_of_the_targets_own_python(tmp_path: Path) -> None:
    python = probe(sys.executable)
    (tmp_path / "lib/python3.99/site-packages").mkdir(parents=True)
    with pytest.raises(InstallFailed, match=f"has no lib/python{python.minor}/site-packages"):
        distributions.site_packages_of(tmp_path, python)
    (tmp_path / f"lib/python{python.minor}/site-packages").mkdir(parents=True)
    assert distributions.site_packages_of(tmp_path, python).parent.name == f"python{python.minor}"
