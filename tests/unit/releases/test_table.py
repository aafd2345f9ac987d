"""releases.toml: its form, and that it agrees with what else is known."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from paddle_bootstrap import toml
from paddle_bootstrap.install.install import PADDLES
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.choose import build_of
from paddle_bootstrap.releases.model import TABLE, device_of, releases

ROWS = toml.read(TABLE)
SCHEMA = Draft202012Validator(json.loads(TABLE.with_name("releases.schema.json").read_text()))


def test_the_schema_takes_it() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    assert list(SCHEMA.iter_errors(ROWS)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"build": "cuda126"},
        {"served": "somewhere"},
        {"min_driver": "new"},
        {"size": 5},
        {"code": [{"sm": [90], "mark": "guessed", "source": "x"}]},
        {"code": [{"sm": [90], "mark": "inferred"}]},
        {"sizes": {"3.12": 0}},
        {"floors": None},
        {"cuda": None},
    ],
    ids=str,
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    rows = copy.deepcopy(ROWS)
    row = next(row for row in rows["release"] if (row["version"], row["build"]) == ("3.3.1", "cu126"))
    row.update(wrong)
    for key, value in wrong.items():
        if value is None:
            del row[key]
    assert list(SCHEMA.iter_errors(rows))


def test_one_row_for_each_build() -> None:
    ids = [each.id for each in releases()]
    assert len(ids) == len(set(ids)) == len(ROWS["release"]) >= 60


def test_rows_agree_with_the_shipped_locks() -> None:
    by_lock = {each.lock: each for each in releases() if each.lock}
    assert set(by_lock) == {pylock.name_of(path) for path in pylock.shipped()}
    for path in pylock.shipped():
        lock = pylock.read(path)
        row, build = by_lock[lock.name], lock.build
        assert build is not None
        assert set(pylock.pythons(lock)) == set(row.pythons)
        told = build_of(row)
        for key in ("id", "package", "version", "device", "cuda", "min_driver", "toolkit_driver", "sass", "cpu_flags"):
            assert getattr(told, key) == getattr(build, key), (lock.name, key)
        assert (told.glibc, told.glibcxx, told.index_folder) == (build.glibc, build.glibcxx, build.index_folder)


def test_sizes_and_names_are_those_of_the_locked_files() -> None:
    sizes = {
        wheel.filename: wheel.size
        for path in pylock.shipped()
        for package in pylock.packages(pylock.read(path))
        for wheel in package.wheels
    }
    for each in releases():
        for python, size in each.sizes.items() if each.lock else ():
            assert sizes[each.filename(python)] == size


def test_hopper_never_gets_cuda_11() -> None:
    for each in releases():
        if each.build == "cu118" and each.code:
            assert each.code_for((9, 0)) is None
            assert each.complete


def test_old_pythons_have_an_abi_of_their_own() -> None:
    named = {each.id: each for each in releases()}
    assert named["2.4.2 cu102"].filename("3.7") == "paddlepaddle_gpu-2.4.2-cp37-cp37m-manylinux1_x86_64.whl"
    assert named["2.6.2 post120"].filename("3.12") == "paddlepaddle_gpu-2.6.2.post120-cp312-cp312-linux_x86_64.whl"
    assert named["2.6.2 post120"].names == ("post120", "cu120")


def test_a_name_says_which_device_its_builds_are_for() -> None:
    """Whatever may stand in a target is known here, and no name is for both."""
    assert {package: device_of(package) for package in PADDLES} == {"paddlepaddle": "cpu", "paddlepaddle-gpu": "gpu"}
    assert all(device_of(each.package) == each.device for each in releases())
    with pytest.raises(KeyError):
        device_of("paddlepaddle-xpu")
