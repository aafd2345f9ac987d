"""Each flag and setting of ``verify`` changes an outcome, on described hosts; what cannot be meant is a usage error."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from paddle_bootstrap.cli import run
from tests.fakes.host import H100, NO_GPU, FakeGpu, FakeHost
from tests.integration.verified import Desk, Verified

PAIR = "h100-pcie-x2-idle"
SITE = """
import pytest

def check_health(device, reading):
    \"\"\"The card has its rows.\"\"\"
    assert not reading("rows")["failed"], "a row is lost"

@pytest.mark.level("standard", seconds=1)
def check_load(device, reading, cuda):
    \"\"\"A load of the site's.\"\"\"

@pytest.mark.level("standard", seconds=100)
def check_long(host):
    \"\"\"It takes long.\"\"\"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path / "desk", monkeypatch, capfd)
    (desk.folder / "site").mkdir()
    (desk.folder / "site" / "check_site.py").write_text(SITE)
    return desk


def site(desk: Desk, *words: str) -> Verified:
    """The site's checks, and who uses the GPUs."""
    return desk.verify("--host", "--checks", "site", "--level", "standard", "-k", "check_site or neighbours", *words)


def outcomes(done: Verified) -> dict[str, str]:
    return {check["id"]: check["outcome"] for check in done.told["checks"] if check["id"].startswith("site")}


ALL = {
    "site.health[gpu0]": "passed",
    "site.health[gpu1]": "passed",
    "site.load[gpu0]": "passed",
    "site.load[gpu1]": "passed",
    "site.long": "passed",
}


def test_a_card_that_failed_gets_no_load_unless_it_is_forced(desk: Desk) -> None:
    desk.on(PAIR, ("gpu1.rows.failed", "true"))
    failed = {**ALL, "site.health[gpu1]": "failed"}
    done = site(desk)
    assert (done.code, outcomes(done)) == (1, {**failed, "site.load[gpu1]": "skipped"})
    assert done.check("site.load[gpu1]")["summary"].endswith("to load it: --force-load")
    done = site(desk, "--force-load")
    assert (done.code, outcomes(done)) == (1, failed)


def test_a_busy_card_gets_no_load_unless_that_is_allowed(desk: Desk) -> None:
    desk.on(PAIR, ("gpu1.processes", "1 compute 4294967296"))
    done = site(desk)
    assert (done.code, outcomes(done)) == (3, {**ALL, "site.load[gpu1]": "skipped"}), done.out
    assert done.check("site.load[gpu1]")["summary"] == (
        "gpu1 gets no load: others use it, see mode.neighbours[gpu1]; to load it all the same: --allow-busy"
    )
    done = site(desk, "--allow-busy")
    assert (done.code, outcomes(done)) == (0, ALL)
    assert done.findings() == {"mode.neighbours[gpu1]": "warned"}


def test_what_settings_say_holds_without_flags(desk: Desk) -> None:
    desk.on(PAIR, ("gpu1.processes", "1 compute 4294967296"))
    desk.settings('allow-busy = true\nwithin = "60s"\n')
    done = site(desk)
    assert (done.code, outcomes(done)) == (0, {**ALL, "site.long": "skipped"}), done.out


def test_within_runs_what_fits_and_lists_the_rest(desk: Desk) -> None:
    desk.on(PAIR)
    done = site(desk, "--within", "1m")
    assert (done.code, outcomes(done)) == (0, {**ALL, "site.long": "skipped"}), done.out
    assert done.check("site.long")["summary"] == "left out by --within: it needs 100 s, and 53.9 s were left"
    done = site(desk, "--within", "2s")  # no time for the quick ones: nothing is proved
    assert (done.code, set(outcomes(done).values())) == (3, {"skipped"})


@pytest.mark.parametrize("value", ["0", "-5", "soon", "60 minutes", "1d", ""])
def test_a_time_that_is_none(desk: Desk, value: str) -> None:
    done = desk.verify("--host", "--within", value)
    assert (done.code, done.told) == (2, {})
    assert "--within" in done.err


def test_the_list_of_checks_asks_no_host(desk: Desk) -> None:
    """Its NVML would hang."""
    done = desk.on(FakeHost(system={"init": "~60"})).verify("--list")
    assert (done.code, done.told) == (0, {})
    assert re.search(r"^nvml.answers +quick +1 +[0-9.]+ +each GPU, NVML +NVML opens the GPU", done.out, re.MULTILINE)
    done = desk.verify("--list", "--checks", "site", "-k", "check_site")
    rows = [line.split()[:4] for line in done.out.splitlines()[1:]]
    assert rows == [
        ["site.health", "quick", "2", "0.05"],
        ["site.load", "standard", "2", "1"],
        ["site.long", "standard", "2", "100"],
    ]
    done = desk.verify("--list", "--checks", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "nowhere: no such directory" in done.err


def accept(check: str, days: int = 30, **more: str) -> str:
    row = {"check": check, "reason": "known, ticket 7", **more}
    told = ", ".join(f"{key} = {json.dumps(value)}" for key, value in row.items())
    return f"accept = [{{{told}, expires = {date.today() + timedelta(days)}}}]\n"


def test_a_known_deviation_is_accepted_and_told(desk: Desk) -> None:
    desk.on(PAIR, ("gpu1.rows.pending", "true"), ("gpu1.rows.failed", "true"))
    assert desk.verify("--host", "-k", "memory").code == 1
    desk.settings(accept("memory.rows", model="h100"))
    done = desk.verify("--host", "-k", "memory")
    assert (done.code, done.told["verdict"]) == (0, "accepted"), done.out
    assert done.check("memory.rows[gpu1]")["accepted"]["reason"] == "known, ticket 7"
    assert "accepted deviations" in done.out
    assert "known, ticket 7" in done.out
    assert done.err.count("accept:") == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (accept("memory.rows", days=-1), "its acceptance (known, ticket 7) expired on "),
        (accept("memory.rows", model="RTX 4090"), ""),
        (accept("memory.rows[gpu0]"), ""),
    ],
    ids=["expired", "another model", "another card"],
)
def test_an_acceptance_that_does_not_hold(desk: Desk, row: str, says: str) -> None:
    desk.on(PAIR, ("gpu1.rows.failed", "true"))
    desk.settings(row)
    done = desk.verify("--host", "-k", "memory")
    assert done.code == 1
    assert says in done.words()


def test_an_acceptance_of_no_check_is_told_with_the_nearest(desk: Desk) -> None:
    desk.on(PAIR)
    desk.settings(accept("memory.row"))
    done = desk.verify("--host", "-k", "memory")
    assert done.code == 0
    assert "accept: there is no check memory.row; did you mean memory.rows?" in done.err
    desk.settings(accept("gemm.bf16[gpu1]"))  # there is, though not at this level and not on a bare host
    assert "accept:" not in desk.verify("--host", "-k", "memory").err


FLOORS = """
schema_version = 1
[[floor]]
model = "NVIDIA H100 PCIe"
name = "matmul_fp16"
unit = "TFLOP/s"
floor = 500
"""
RATE = """
def check_rate(device, measure):
    \"\"\"It is fast.\"\"\"
    measure("matmul_fp16", 490.0, "TFLOP/s")
"""


def test_a_sites_own_floors_hold(desk: Desk) -> None:
    desk.on(PAIR)
    (desk.folder / "site" / "check_rate.py").write_text(RATE)
    words = ("--host", "--checks", "site", "-k", "check_rate")
    assert desk.verify(*words).code == 0
    (desk.folder / "floors.toml").write_text(FLOORS)
    done = desk.verify(*words, "--baseline", "floors.toml")
    assert (done.code, set(done.findings().values())) == (1, {"failed"})
    assert "matmul_fp16 490 TFLOP/s: below its floor of 500" in done.words()
    desk.settings('baseline = "floors.toml"\n')
    assert desk.verify(*words).code == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "floors.toml cannot be read: No such file or directory"),
        ("speed = [\n", "the file must be TOML in UTF-8"),
        (FLOORS.replace("schema_version", "schema"), "unknown key 'schema'"),
        (FLOORS.replace("TFLOP/s", "GFLOP/s"), "has the unit 'GFLOP/s', but it is measured in 'TFLOP/s'"),
        (FLOORS.replace("floor =", "flor ="), "unknown key 'flor'"),
        (FLOORS.replace("= 1\n", "= 2\n"), "its schema version is 2"),
    ],
    ids=["missing", "no TOML", "unknown key", "wrong unit", "unknown key of a row", "newer"],
)
def test_floors_that_cannot_be_judged_by_are_told_before_any_work(desk: Desk, text: str | None, says: str) -> None:
    if text is not None:
        (desk.folder / "floors.toml").write_text(text)
    done = desk.on(FakeHost(system={"init": "~60"})).verify("--host", "--baseline", "floors.toml")
    assert (done.code, done.told) == (2, {}), done.err
    assert says in done.err


def test_a_recorded_host_is_judged_like_the_host(desk: Desk) -> None:
    desk.on("h100-x8", ("gpu3.rows.failed", "true"))
    done = desk.verify("--host", "--record-host", "incident.toml", "-k", "memory")
    assert done.code == 1
    assert "this host's readings: incident.toml" in done.err
    told = (desk.folder / "incident.toml").read_text()
    real = FakeHost.from_file(Path(__file__).parents[1] / "fakes" / "described" / "h100-x8.toml")
    for index in range(8):
        assert real.uuid(index) not in told
        assert real.rows(index)["serial"] not in told
    assert "fake-host" not in told
    (desk.folder / "host").rename(desk.folder / "first")
    again = desk.on(FakeHost.from_file(desk.folder / "incident.toml")).verify("--host", "-k", "memory")
    assert (again.code, again.findings()) == (1, done.findings())


def test_a_host_without_gpus_can_be_recorded_too(desk: Desk) -> None:
    done = desk.on(NO_GPU).verify("--host", "--record-host", "bare.toml")
    assert done.code == 1  # of the judgement
    assert "[gpu0]" not in (desk.folder / "bare.toml").read_text()


def test_a_record_that_cannot_be_written_is_told_before_any_work(desk: Desk) -> None:
    (desk.folder / "file").touch()
    done = desk.on(FakeHost(system={"init": "~60"})).verify("--host", "--record-host", "file/host.toml")
    assert (done.code, done.told) == (2, {})
    assert "--record-host: file/host.toml cannot be written: " in done.err


def test_gpus_that_are_not_there(desk: Desk) -> None:
    done = desk.on(PAIR).verify("--host", "--gpus", "9")
    assert (done.code, done.told) == (2, {})
    assert "--gpus 9: this host has no such GPU" in done.err
    assert "0: NVIDIA H100 PCIe, GPU-" in done.err


def test_a_uuids_beginning_that_two_gpus_have(desk: Desk) -> None:
    twins = FakeHost(gpus=tuple(FakeGpu(told={**H100.told, "uuid": f"GPU-2c5c{n}000-0000"}) for n in (1, 2)))
    done = desk.on(twins).verify("--host", "--gpus", "GPU-2c5c")
    assert (done.code, done.told) == (2, {})
    assert "GPU-2c5c begins 2 UUIDs" in done.err
    done = desk.verify("--host", "--gpus", "GPU-2c5c2", "-k", "answers")
    assert {check["device"] for check in done.told["checks"]} == {"gpu1"}


def test_hidden_gpus_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.on("h100-x8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    done = desk.verify("--host", "-k", "environment or nvml")
    assert (done.code, done.findings()) == (0, {"environment.variables": "warned"})
    assert "CUDA_VISIBLE_DEVICES=2,3 hides 6 of 8 GPUs" in done.words()
    assert {check["device"] for check in done.told["checks"]} == {None, "gpu2", "gpu3"}


def test_a_run_that_did_not_see_an_xid_hides_it_from_none(desk: Desk) -> None:
    desk.on(PAIR, ("log", "NVRM: Xid (PCI:0000:10:00): 79, pid=1, it happened"))
    assert desk.verify("--host", "-k", "environment").code == 0
    done = desk.verify("--host", "-k", "xid_history")
    assert (done.code, done.findings()) == (1, {"kernel.xid_history": "failed"})


def test_an_xid_that_is_accepted_for_a_time_is_shown_until_then(desk: Desk) -> None:
    desk.on(PAIR, ("log", "NVRM: Xid (PCI:0000:10:00): 79, pid=1, it happened"))
    desk.settings(accept("kernel.xid_history"))
    first, second = (desk.verify("--host", "-k", "xid_history") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.findings() == second.findings() != {}
    desk.settings("")
    assert desk.verify("--host", "-k", "xid_history").code == 1


def test_a_home_that_cannot_be_written_costs_a_warning(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.on(PAIR)
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    done = desk.verify("--host", "-k", "xid_history", "--report", "junit.xml")
    assert done.code == 0
    assert "that this host was accepted is not kept for the next run: cannot write /proc/nowhere" in done.err
    assert (desk.folder / "junit.xml").exists()


def test_a_user_without_a_home_gets_the_verdict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.on(PAIR, ("gpu1.rows.failed", "true"))
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    assert run(["verify", "--host", "-k", "rows", "--report", "junit.xml"]) == 1
    said = capfd.readouterr()
    assert said.out.startswith("REJECTED")
    assert "the results are not kept: cannot write /proc/nowhere" in said.err
    assert "--results FILE" in said.err
    assert "==> results" not in said.err
    assert (desk.folder / "junit.xml").exists()
    assert run(["verify", "--host", "-k", "rows", "--results", "/proc/nowhere/r.json"]) == 2
