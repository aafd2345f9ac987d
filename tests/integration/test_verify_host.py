"""``verify --host`` end to end: health before anything is installed, on described hosts, healthy and not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.host import NO_GPU
from tests.integration.verified import Desk

H100 = "h100-x8"
PAIR = "h100-pcie-x2-idle"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path / "desk", monkeypatch, capfd)


def test_a_healthy_host_is_accepted_within_ten_seconds(desk: Desk) -> None:
    """Eight GPUs, no target, no lock, no Paddle."""
    done = desk.on(H100).verify("--host")
    assert done.told["seconds"] < 10  # 1 to 2 on two idle cores
    assert (done.code, done.told["verdict"], done.told["level"]) == (0, "accepted", "quick"), done.out
    assert done.findings() == {}
    assert done.told["target"] is None
    assert done.told["lock"] is None
    assert done.out.startswith(
        "ACCEPTED\n  host    fake-host, Fake Linux 1, driver 570.124.06, 8 x NVIDIA H100 80GB HBM3\n"
    )
    for nonsense in ("\n  lock ", "\n  target ", "receipt", "to use it", "not installed"):
        assert nonsense not in done.out
    assert len([check for check in done.told["checks"] if check["id"].endswith("[gpu7]")]) > 20


def test_every_check_that_needs_no_target_ran(desk: Desk) -> None:
    done = desk.on("t4-x1").verify("--host")
    ids = {check["id"] for check in done.told["checks"]}
    assert {"nvml.answers[gpu0]", "memory.pages[gpu0]", "host.driver_loaded", "kernel.xid_history"} <= ids
    assert not [name for name in ids if name.partition(".")[0] in ("install", "files", "device", "libraries", "gemm")]
    assert not [name for name in ids if "driver_new_enough" in name]  # that needs a lock


@pytest.mark.parametrize(
    ("faults", "findings", "says"),
    [
        ([("sys.init", "~60")], {}, "NVML did not answer in 8 s while asked for nvmlInit"),
        (
            [("gpu0.handle", "~60"), ("gpu3.handle", "~60"), ("gpu6.power", "~60")],
            {"nvml.answers[gpu0]": "failed", "nvml.answers[gpu3]": "failed", "nvml.answers[gpu6]": "failed"},
            "NVML did not answer in 4 s while asked for nvmlDeviceGetHandleByIndex of gpu3",
        ),
    ],
    ids=["NVML", "three GPUs"],
)
def test_a_driver_that_hangs_is_waited_for_once(
    desk: Desk, faults: list[tuple[str, str]], findings: dict[str, str], says: str
) -> None:
    """And the other GPUs are judged by all their checks."""
    done = desk.on(H100, *faults).verify("--host")
    assert done.code == 1, done.out
    assert says in done.words()
    found = done.findings()
    assert {
        name: outcome for name, outcome in found.items() if outcome == "failed" and name.startswith("nvml")
    } == findings
    if findings:
        stuck = {name.partition("[")[2] for name in findings}
        assert {name.partition("[")[2] for name in found} == stuck, "only checks of the GPUs that hang"
    else:
        assert {"host.driver_loaded", "host.gpus_on_bus"} <= found.keys()


def test_a_host_without_a_gpu_is_rejected_not_skipped(desk: Desk) -> None:
    done = desk.on(NO_GPU).verify("--host")
    assert (done.code, done.told["verdict"]) == (1, "rejected")
    assert done.findings()["host.driver_loaded"] == "failed"


def test_a_rehearsal_of_the_host_judges_no_gpu(desk: Desk) -> None:
    done = desk.on(NO_GPU).verify("--host", "--device", "cpu")
    assert (done.code, done.told["rehearsal"]) == (0, True), done.out
    assert done.out.startswith("REHEARSAL on the CPU, no GPU was judged: ACCEPTED\n")


def test_a_gpu_in_use_is_named_with_who_uses_it(desk: Desk) -> None:
    """At level quick that is a warning; a load on it has no answer."""
    host = desk.on(PAIR, ("gpu1.processes", "1 compute 4294967296"))
    quick = host.verify("--host", "-k", "mode")
    assert (quick.code, quick.findings()) == (0, {"mode.neighbours[gpu1]": "warned"})
    assert "pid 1 " in quick.check("mode.neighbours[gpu1]")["summary"]
    assert "4.3 GB" in quick.check("mode.neighbours[gpu1]")["summary"]


def test_mig_is_told(desk: Desk) -> None:
    done = desk.on("a100-x8", ("gpu2.mig.current", "true"), ("gpu2.mig.pending", "true")).verify("--host", "-k", "mode")
    assert (done.code, done.findings()) == (0, {"mode.mig[gpu2]": "warned"})
    assert "MIG is on: gpu2" in done.words()


@pytest.mark.parametrize("reading", ["rows", "processes", "clocks"])
def test_no_permission_is_no_pass(desk: Desk, reading: str) -> None:
    done = desk.on(PAIR, (f"gpu1.{reading}", "!4")).verify("--host")
    assert (done.code, done.told["verdict"]) == (3, "inconclusive"), done.out
    assert set(done.findings().values()) == {"skipped"}
    assert "may not be read by this user" in done.words()
    assert "inconclusive: required, but without an answer: " in done.words()


def test_the_kernels_log_has_a_stand_in(desk: Desk) -> None:
    done = desk.on(PAIR, ("log", "none")).verify("--host")
    assert (done.code, done.findings()) == (0, {"kernel.xid_history": "warned", "kernel.noise": "warned"}), done.out
    assert "judged instead by what the driver counts" in done.words()
