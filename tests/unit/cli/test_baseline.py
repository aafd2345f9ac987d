"""`baseline record`: a site's floors from accepted runs, and what is no basis for one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.harness.baselines import with_site
from paddle_bootstrap.harness.floors import Context, judge
from paddle_bootstrap.harness.models import Card
from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import CheckResult, Measurement, Results
from tests.unit.cli.conftest import Command
from tests.unit.results.runs import FACTS, RUNS, check, run

H100 = "NVIDIA H100 80GB HBM3"
NEW = "NVIDIA X1"


def taken(name: str, unit: str, values: Sequence[float], **told: Any) -> list[CheckResult]:
    text = f"{name} 1 {unit}: no baseline for {name} on {H100}: recorded"
    known: dict[str, Any] = {"outcome": "warned", "warnings": (text,), "summary": text} | told
    return [
        check(f"gemm.{name}[gpu{index}]", device=f"gpu{index}", measurements=(Measurement(name, value, unit),), **known)
        for index, value in enumerate(values)
    ]


def accepted(number: int, *checks: CheckResult, name: str = H100, **told: Any) -> Results:
    gpus = [{"index": index, "name": name} for index in range(2)]
    host = {**FACTS, "hostname": f"node{number}", "gpus": gpus}
    return run(check("host.disk"), *checks, **{"host": host, "created": f"2026-01-0{number}T03:04:05+00:00", **told})


def fp16(*values: float, **told: Any) -> list[CheckResult]:
    return taken("matmul_fp16", "TFLOP/s", values, **told)


Files = Callable[..., list[Path]]


@pytest.fixture
def files(here: Path) -> Files:
    def write(*runs: Results) -> list[Path]:
        paths = [here / f"{number}.json" for number, _ in enumerate(runs, 1)]
        for path, each in zip(paths, runs, strict=True):
            store.write(each, path)
        return paths

    return write


def three(*checks: Sequence[CheckResult], **told: Any) -> list[Results]:
    return [accepted(number, *some, **told) for number, some in enumerate(checks, 1)]


HEALTHY = (fp16(770.0, 772.0), fp16(768.0, 771.0), fp16(775.0, 769.0))


def test_three_accepted_runs_make_a_floor(files: Files, command: Command) -> None:
    said = command("baseline", "record", "--results", *files(*three(*HEALTHY)))
    assert (said.code, said.err) == (0, "")
    (row,) = toml.loads(said.out)["floor"]
    assert row == {
        "model": H100,
        "pci_id": "2330",
        "name": "matmul_fp16",
        "unit": "TFLOP/s",
        "n": 6,
        "median": 770.5,
        "min": 768.0,
        "max": 775.0,
        "mad": 1.5,
        "rule": "0.85 x the median of 6 values of 3 runs",
        "floor": 654.925,
    }
    comments = [line for line in said.out.splitlines() if line.startswith("#")]
    assert comments[0].startswith("# Floors of this site, made by paddle-bootstrap ")
    assert "# node2, 2026-01-02T03:04:05+00:00, level quick: 2.json" in comments


def test_what_is_recorded_is_judged_by(files: Files, command: Command, here: Path) -> None:
    said = command("baseline", "record", "--results", *files(*three(*HEALTHY)), "--output", here / "site.toml")
    assert (said.code, said.out) == (0, "")
    assert f"1 floors: {here / 'site.toml'}" in said.err
    known = with_site(here / "site.toml")
    told = [
        judge("matmul_fp16", value, "TFLOP/s", Card("2330", H100), Context(), {}, known) for value in (655.0, 654.0)
    ]
    assert [each.outcome for each in told] == ["passed", "failed"]
    assert told[0].source == "site.toml: 0.85 x the median of 6 values of 3 runs"


def test_times_and_models_that_nobody_knows(files: Files, command: Command, here: Path) -> None:
    launch = [taken("launch", "us", (4.0, 4.2)) for _ in range(3)]
    said = command("baseline", "record", "--results", *files(*three(*launch, name=NEW)))
    (row,) = toml.loads(said.out)["floor"]
    assert ("pci_id" in row, row["floor"], row["rule"]) == (False, 4.82353, "1/0.85 x the median of 6 values of 3 runs")
    (here / "site.toml").write_text(said.out)
    known = with_site(here / "site.toml")
    assert judge("launch", 4.9, "us", Card("ffff", "X1"), Context(), {}, known).outcome == "failed"


def test_the_id_that_a_run_read_counts(files: Files, command: Command) -> None:
    gpus = [{"index": index, "name": "NVIDIA H20", "pci_device_id": "2328"} for index in range(2)]
    runs = three(*[fp16(140.0, 141.0) for _ in range(3)], name="NVIDIA H20")
    (row,) = toml.loads(command("baseline", "record", "--results", *files(*runs)).out)["floor"]
    assert "pci_id" not in row  # two ids have this name
    runs = [replace(each, host={**each.host, "gpus": gpus}) for each in runs]
    (row,) = toml.loads(command("baseline", "record", "--results", *files(*runs)).out)["floor"]
    assert (row["model"], row["pci_id"]) == ("NVIDIA H20", "2328")


def test_what_was_recorded_only_or_accepted_as_a_deviation_is_no_basis(files: Files, command: Command) -> None:
    allowed = fp16(300.0, 300.0, accepted={"reason": "known", "expires": "2027-01-01"})
    beside = taken("pair", "GB/s", (1.0, 2.0), outcome="passed", warnings=())
    judged = [
        check("copy.device[gpu0]", device="gpu0", measurements=(Measurement("copy_device", 3000.0, "GB/s", 1905.0),))
    ]
    runs = three(*[[*HEALTHY[number], *allowed, *beside, *judged] for number in range(3)])
    rows = toml.loads(command("baseline", "record", "--results", *files(*runs)).out)["floor"]
    assert [(row["name"], row["n"]) for row in rows] == [("copy_device", 3), ("matmul_fp16", 6)]


def test_what_too_few_runs_measured_is_left_out_and_told(files: Files, command: Command) -> None:
    extra = taken("matmul_fp32", "TFLOP/s", (51.0, 52.0))
    said = command("baseline", "record", "--results", *files(*three([*HEALTHY[0], *extra], *HEALTHY[1:])))
    told = f"matmul_fp32 of {H100}: in 1 of 3 runs only, left out"
    assert told in said.err
    assert f"# {told}" in said.out
    assert len(toml.loads(said.out)["floor"]) == 1


def test_a_card_that_the_floor_would_reject_is_named(files: Files, command: Command) -> None:
    said = command("baseline", "record", "--results", *files(*three(fp16(770.0, 612.0), *HEALTHY[1:])))
    told = "matmul_fp16: 612 TFLOP/s on gpu1 of node1 (1.json) would fail at 654.1: is that card well?"
    assert said.code == 0
    assert told in " ".join(said.err.split())
    assert f"# {told}" in said.out


def rejected(*checks: CheckResult) -> Results:
    return accepted(3, *checks, check("memory.rows[gpu0]", outcome="failed", device="gpu0"))


BAD: dict[str, tuple[Callable[[], list[Results]], str]] = {
    "fewer than three": (lambda: three(*HEALTHY)[:2], "2 runs, but a floor needs at least 3"),
    "one": (lambda: three(*HEALTHY)[:1], "1 run, but a floor needs at least 3"),
    "one run twice": (lambda: [*three(*HEALTHY)[:2], three(*HEALTHY)[1]], "2.json and "),
    "rejected": (lambda: [*three(*HEALTHY)[:2], rejected()], "3.json was rejected: only accepted runs make a floor"),
    "inconclusive": (lambda: [*three(*HEALTHY)[:2], RUNS["inconclusive"]], "3.json was inconclusive"),
    "rehearsal": (lambda: [*three(*HEALTHY)[:2], RUNS["rehearsal"]], "3.json is a rehearsal on the CPU"),
    "mixed units": (
        lambda: three(*[taken("images", unit, (1.0, 2.0)) for unit in ("images/s", "images/s", "images/min")]),
        "images is in 'images/min' in the run of gpu0 of node3 (3.json), but that of gpu0 of node1 (1.json) is in 'images/s'",
    ),
    "another unit than published": (
        lambda: three(*[taken("matmul_fp16", "GFLOP/s", (770e3, 771e3)) for _ in range(3)]),
        "matmul_fp16 is in 'GFLOP/s' in the run of gpu0 of node1 (1.json), but its published floors are in 'TFLOP/s'",
    ),
    "far below the specification": (
        lambda: three(*[fp16(300.0, 301.0) for _ in range(3)]),
        f"matmul_fp16 of {H100}: 255.4 TFLOP/s is 0.26 of the specification, 989; a floor is 0.3 to 1",
    ),
    "above the specification": (
        lambda: three(*[fp16(7700.0, 7701.0) for _ in range(3)]),
        "is 6.6 of the specification, 989; a floor is 0.3 to 1",
    ),
    "nothing measured": (lambda: three([], [], []), "none of these runs measured anything on a GPU"),
    "nothing in all": (
        lambda: three(HEALTHY[0], taken("x", "1/s", (1.0,)), taken("y", "1/s", (1.0,))),
        "no measurement is in enough runs",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_basis_for_a_floor(kind: str, files: Files, command: Command, here: Path) -> None:
    make, says = BAD[kind]
    (here / "site.toml").write_text("mine")
    said = command("baseline", "record", "--results", *files(*make()), "-o", here / "site.toml")
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert "next:  " in said.err
    assert (here / "site.toml").read_text() == "mine"
    assert [path.name for path in here.iterdir() if path.name.startswith(".site")] == []


def test_results_of_a_newer_schema_and_no_results(files: Files, command: Command, here: Path) -> None:
    paths = files(*three(*HEALTHY))
    data = {**json.loads(paths[2].read_text()), "schema_version": 2, "tool": "paddle-bootstrap 9"}
    paths[2].write_text(json.dumps(data))
    said = command("baseline", "record", "--results", *paths)
    assert (said.code, said.out) == (2, "")
    assert "3.json: its schema version is 2, written by paddle-bootstrap 9" in said.err
    assert "update paddle-bootstrap to read it" in said.err
    assert "No such file" in command("baseline", "record", here / "none.json", *paths[:2]).err
    paths[2].write_text("not JSON")
    assert "it is not a results file" in command("baseline", "record", *paths).err
    said = command("baseline", "record")
    assert said.code == 2
    assert "no results were named" in said.err


def test_a_place_that_cannot_be_written(files: Files, command: Command, here: Path) -> None:
    (here / "file").touch()
    said = command("baseline", "record", *files(*three(*HEALTHY)), "-o", here / "file" / "site.toml")
    assert said.code == 2
    assert f"cannot write {here / 'file' / 'site.toml'}: " in said.err


def test_a_link_is_written_through(files: Files, command: Command, here: Path) -> None:
    (here / "site.toml").symlink_to("floors.toml")
    assert command("baseline", "record", *files(*three(*HEALTHY)), "-o", here / "site.toml").code == 0
    assert (here / "site.toml").is_symlink()
    assert (here / "floors.toml").read_text()


def test_where_results_are_written_is_no_result_of_a_run(files: Files, command: Command, here: Path) -> None:
    (here / "paddle-bootstrap.toml").write_text('results = "results.json"\n')
    assert command("baseline", "record", *files(*three(*HEALTHY))).code == 0


@pytest.mark.parametrize("verb", [("verify", "--host"), ("up",)])
def test_floors_that_cannot_be_judged_by_are_told_before_any_work(
    verb: tuple[str, ...], command: Command, here: Path
) -> None:
    said = command(*verb, "--baseline", here / "none.toml")
    assert (said.code, said.out) == (2, "")
    assert "none.toml cannot be read: No such file or directory" in said.err
    row = 'model = "X"\nname = "copy_device"\nunit = "MB/s"\nfloor = 1905000'
    (here / "site.toml").write_text(f"schema_version = 1\n[[floor]]\n{row}\n")
    said = command(*verb, "--baseline", here / "site.toml")
    assert (said.code, said.out) == (2, "")
    told = "site.toml: [[floor]] 1: copy_device of X has the unit 'MB/s', but it is measured in 'GB/s'"
    assert told in said.err
    assert "write its floor in GB/s" in said.err
