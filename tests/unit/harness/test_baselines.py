"""Floors as data: each follows from what was published, and lies where a floor can lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.baselines import published, with_site
from paddle_bootstrap.harness.models import Card, model_of, named, plain
from paddle_bootstrap.harness.subject import built_in_checks

DATA = toml.read(built_in_checks() / "baselines" / "published.toml")
ROWS = DATA["floor"]
NO_SPECIFICATION = {"RTX PRO 6000 Blackwell Server Edition"}  # of its tensor cores


def lint(published_value: float, floor: float, specification: float | None) -> list[str]:
    """What is wrong with a floor."""
    known, wrong = published(), []
    if abs(floor - known.limits.published * published_value) > 0.002 * floor:
        wrong.append("it is not the share of the published value")
    if specification is not None and not known.sane(floor, specification):
        wrong.append("it is no floor of this model")
    return wrong


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']} {row['name']}")
def test_a_floor_follows_from_its_value_and_can_be_meant(row: dict[str, object]) -> None:
    model = named(row["model"])
    assert model
    specification = published().specification(model, str(row["name"]))
    assert specification or model.name in NO_SPECIFICATION
    assert lint(float(str(row["published"])), float(str(row["floor"])), specification) == []
    assert row["unit"] == DATA["units"][row["name"]]
    assert row["source"] in DATA["sources"]


@pytest.mark.parametrize(
    ("model", "measured", "floor", "specification"),
    [
        ("H200", 3.110, 2.333, 4800),  # GB/s taken for MB/s
        ("L40", 65.4, 49.05, 864),  # a digit was lost
        ("A100-SXM4-40GB", 1830.0, 137.5, 1555),  # here too; what was meant would reject good cards
        ("H100 64 GB", 163.0, 122.25, 2600),
        ("PG502", 170.0, 127.5, 2000),
    ],
)
def test_floors_that_were_wrong_elsewhere_would_not_get_in(
    model: str, measured: float, floor: float, specification: float
) -> None:
    """DCGM 72fa3fe, nvvs/diag-skus.yaml.in, in GB/s; the last two are no rows of ours."""
    assert "it is no floor of this model" in lint(measured, floor, specification)


def test_what_is_above_the_specification_is_no_floor_either() -> None:
    assert lint(400.0, 300.0, 200.0) == ["it is no floor of this model"]
    assert lint(400.0, 200.0, 500.0) == ["it is not the share of the published value"]


def test_no_row_is_there_twice_and_none_is_lost() -> None:
    keys = {(plain(row["model"]), row["name"]) for row in ROWS}
    assert len(keys) == len(ROWS) == len(published().published)
    assert set(DATA["specification"]) <= set(DATA["units"])
    assert {name for row in DATA["share"] for name in row["names"]} <= set(DATA["units"])
    assert all(named(model) for row in DATA["share"] for model in row.get("models", ()))


def test_the_exceptions_are_data() -> None:
    known = published()
    assert not any(model.startswith(("V100", "T4")) and name == "matmul_bf16" for model, name in known.published)
    weak = {model for (model, _), floor in known.published.items() if floor.warns}
    assert weak == {"H800", "H20-3e", "T4", "L4", "L20", "A100-PCIE-40GB"}
    h20, h100 = Card("2329", "NVIDIA H20"), Card("2330", "NVIDIA H100 80GB HBM3")
    assert known.shares_of(h20, "copy_device") == ()
    assert [share.warns for share in known.shares_of(h100, "copy_device")] == [0.8]
    assert [share.warns for share in known.shares_of(Card("ffff", None), "copy_device")] == [0.55]
    assert [share.warns for share in known.shares_of(Card("2684", None), "copy_device")] == [0.55]


SITE = """
schema_version = 1

[[floor]]
model = "NVIDIA H100 80GB HBM3"
pci_id = "2330"
name = "matmul_fp16"
unit = "TFLOP/s"
n = 24
median = 771.0
min = 760.0
max = 780.0
mad = 3.0
rule = "0.85 x the median of 24 values of 3 runs"
floor = 655.35

[[floor]]
model = "NVIDIA X1"
name = "images"
unit = "images/s"
floor = 12
warn = true
"""


def site(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return path


def test_a_site_s_file(tmp_path: Path) -> None:
    known = with_site(site(tmp_path, SITE))
    floor = known.floor_of(Card("2330", "NVIDIA H100 80GB HBM3"), "matmul_fp16")
    assert floor
    assert (floor.value, floor.source) == (655.35, "site.toml: 0.85 x the median of 24 values of 3 runs")
    other = known.floor_of(Card("9999", "X1"), "images")
    assert other
    assert (other.value, other.unit, other.warns) == (12.0, "images/s", True)
    h200 = model_of("2335")
    assert h200
    assert known.floor_of(Card("2335", None), "matmul_fp16") == published().published[h200.name, "matmul_fp16"]
    assert with_site() is published()


UNIT = "matmul_fp16 of NVIDIA H100 80GB HBM3 has the unit 'GFLOP/s', but it is measured in 'TFLOP/s'"
LOW = "matmul_fp16 of NVIDIA H100 80GB HBM3: a floor of 65.5 TFLOP/s is 0.066 of the specification, 989"
SECOND = 'model = "NVIDIA X1"\nname = "images"\nunit = "images/s"'
TWICE = 'pci_id = "2330"\nname = "matmul_fp16"\nunit = "TFLOP/s"'
DAMAGE = [  # what is replaced, by what, what is said, what is advised
    ('"TFLOP/s"', '"GFLOP/s"', f"[[floor]] 1: {UNIT}", "write its floor in TFLOP/s"),
    ("floor = 655.35", "floor = 65.5", f"[[floor]] 1: {LOW}", "a floor is 0.3 to 1 of the specification"),
    ("median =", "medain =", "[[floor]] 1: unknown key 'medain'", "did you mean 'median'?"),
    ("schema_version = 1", "schema_version = 1\nflor = 2", "unknown key 'flor'", "did you mean 'floor'?"),
    ("schema_version = 1", "schema_version = 2", "its schema version is 2", "update paddle-bootstrap to read it"),
    ("schema_version = 1", "", "it is no file of floors: schema_version = 1", "baseline record"),
    ("schema_version = 1", "schema_version = true", "it is no file of floors", "baseline record"),
    ("floor = 655.35", 'floor = "655"', "[[floor]] 1: floor = '655' is no number", ""),
    ("floor = 655.35", "floor = true", "[[floor]] 1: floor = True is no number", ""),
    ("floor = 655.35", "floor = 0", "[[floor]] 1: floor = 0 is no number above 0", ""),
    ("floor = 655.35", "floor = nan", "[[floor]] 1: floor = nan is no number above 0", ""),
    ("floor = 655.35", "floor = inf", "[[floor]] 1: floor = inf is no number above 0", ""),
    ("floor = 655.35", "", "[[floor]] 1: floor is missing", "baseline record"),
    ("n = 24", "n = 2.5", "[[floor]] 1: n = 2.5 is no whole number", ""),
    ("warn = true", "warn = 1", "[[floor]] 2: warn = 1 is no true or false", ""),
    ('pci_id = "2330"', 'pci_id = "0x2330"', "[[floor]] 1: it names no model", "pci_id"),
    ('model = "NVIDIA X1"', "", "[[floor]] 2: it names no model", "pci_id"),
    (f"{SECOND}\nfloor = 12", f"{TWICE}\nfloor = 600", "[[floor]] 2: matmul_fp16 of 2330 is there twice", "leave one"),
    ("[[floor]]\nmodel", "[floor]\nmodel", "Cannot", "TOML"),
    ("schema_version", "schema version", "Expected", "the file must be TOML in UTF-8"),
]


@pytest.mark.parametrize(("old", "new", "says", "hint"), DAMAGE)
def test_bad_input_is_told_with_file_and_row(old: str, new: str, says: str, hint: str, tmp_path: Path) -> None:
    assert old in SITE
    path = site(tmp_path, SITE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        with_site(path)
    assert str(caught.value).startswith(f"{path}: {says}")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text", ["schema_version = 1", "schema_version = 1\nfloor = 3", "schema_version = 1\nfloor = [1]"]
)
def test_a_file_without_rows(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it is no file of floors|\[\[floor\]\] 1: it must be a table"):
        with_site(site(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml cannot be read: No such file"):
        with_site(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        with_site(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary.toml: .*can't decode"):
        with_site(tmp_path / "binary.toml")
    secret = site(tmp_path, SITE)
    secret.chmod(0)
    if os.geteuid():
        with pytest.raises(ConfigError, match="Permission denied"):
            with_site(secret)
