"""What the kernel's log says against a card: every Xid and every sign of trouble, and nothing on a clean log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness import noise, xids
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.facts import DeviceNode, HostFacts, KernelLine, StuckProcess, Unknown
from paddle_bootstrap.results.model import CheckResult
from paddle_bootstrap.toml import read
from tests.checks.alone import alone
from tests.checks.judging import fails, passes, preflight, seen, warns
from tests.fakes.facts import gpu
from tests.fakes.host import A100, FakeHost

XIDS = read(built_in_checks() / "xid.toml")
NOISE = read(built_in_checks() / "kernel_noise.toml")
GPUS = (gpu(0), gpu(1))  # at 0000:10:00.0 and 0000:11:00.0
UPTIME = 100_000.0
CLEAN = (
    "Linux version 6.1.0-18-amd64",
    "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.104.05  Wed Aug 16 2023",
    "nvidia 0000:10:00.0: enabling device (0140 -> 0142)",
    "pci 0000:10:00.0: 31.504 Gb/s available PCIe bandwidth, limited by 2.5 GT/s PCIe x16 link at 0000:0f:00.0 "
    "(capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)",
    "pci 0000:05:00.0: 4.000 Gb/s available PCIe bandwidth, limited by 5.0 GT/s PCIe x1 link at 0000:00:1c.1 "
    "(capable of 7.876 Gb/s with 8.0 GT/s PCIe x1 link)",
    "pcieport 0000:0f:00.0: AER: enabled with IRQ 28",
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "EDAC MC: Ver: 3.0.0",
    "systemd[1]: gpud found: NVRM: Xid (PCI:0000:10:00): 79, in a log that it quotes",
    "python3[77]: segfault at 0 ip 0 sp 0 error 4 in libc.so.6[7f00+1000]",
    "INFO: task kworker/u8:1:42 blocked for more than 120 seconds.",
    "NVRM: Xid without a number, or one that is cut o",
)
BY_CLASS = {  # class -> before our run, during it, and its numbers
    "bus": ("failed", "failed", {79}),
    "reset": ("failed", "failed", {46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158}),
    "double_bit": ("failed", "failed", {48, 171, 172}),
    "contained": ("warned", "warned", {94}),
    "nvlink": ("failed", "failed", {74, *range(144, 151)}),
    "remap": ("warned", "warned", {63}),
    "action": ("failed", "failed", {154}),
    "mechanical": ("failed", "failed", {54}),
    "workload": (
        "info",
        "failed",
        {8, 11, 13, 25, 31, 32, *range(39, 42), 45, 60, *range(68, 73), 75, 76, 77, 80, *range(82, 87), 88, 89}
        | {*range(96, 106), *range(126, 136), 139, 142},
    ),
    "software": ("failed", "failed", {78, 151, 159}),
    "open": ("warned", "failed", {*range(164, 171)}),
    "benign": (
        "info",
        "info",
        {14, 37, 38, 44, 66, 67, 92, 93, 106, 107, 121, 137, 141, 152, 153, 157, 160, 161, 162, 163},
    ),
}


def log(*texts: str, first: float = 10.0) -> tuple[KernelLine, ...]:
    return tuple(KernelLine(first + number, text) for number, text in enumerate(texts))


def xid(number: int, address: str = "0000:10:00", rest: str = ", pid=1234, name=python") -> str:
    return f"NVRM: Xid (PCI:{address}): {number}{rest}"


def found(*texts: str, during: bool = False) -> list[tuple[int, str, str]]:
    return [(each.number, each.place, each.outcome) for each in xids.findings(log(*texts), GPUS, XIDS, during=during)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> tuple[HostFacts, Mapping[str, str]]:
    facts, environ = seen(FakeHost(gpus=(A100, A100)), tmp_path_factory.mktemp("host"))
    return replace(facts, kernel_log=log(*CLEAN), kernel_log_source="/dev/kmsg", uptime=UPTIME), environ


def judged(host: tuple[HostFacts, Mapping[str, str]], check: str, **changed: Any) -> CheckResult:
    facts = replace(host[0], **changed)
    return alone(facts, None, "kernel", environ=host[1], keyword=check)[f"kernel.{check}"]


def test_every_number_has_its_class_its_words_and_a_source() -> None:
    grouped = {
        name: {row["number"] for row in XIDS["code"] if row["class"] == name and row["number"] != 43}
        for name in BY_CLASS
    }
    assert grouped == {name: numbers for name, (_, _, numbers) in BY_CLASS.items()}
    numbers = [row["number"] for row in XIDS["code"]]
    assert len(numbers) == len(set(numbers)) == 110
    for row in (*XIDS["code"], *XIDS["line"], *NOISE["noise"]):
        assert row["source"]
    for name, row in XIDS["classes"].items():
        assert name in BY_CLASS
        assert {row["before"], row["during"]} <= set(xids.SEVERITY)
        assert row["fix"]


@pytest.mark.parametrize("name", BY_CLASS)
def test_each_number_is_judged_by_its_class(name: str) -> None:
    before, during, numbers = BY_CLASS[name]
    for number in numbers:
        assert found(xid(number)) == [(number, "gpu0 (0000:10:00.0)", before)]
        assert found(xid(number), during=True) == [(number, "gpu0 (0000:10:00.0)", during)]


def test_a_channel_that_stopped_is_old_news_but_none_during_our_run() -> None:
    assert found(xid(43)) == [(43, "gpu0 (0000:10:00.0)", "info")]
    assert found(xid(43), during=True) == [(43, "gpu0 (0000:10:00.0)", "failed")]


def test_a_number_that_nobody_knows() -> None:
    (each,) = xids.findings(log(xid(999)), GPUS, XIDS)
    assert (each.number, each.outcome) == (999, "warned")
    assert "does not know" in each.means


def test_a_clean_log_says_nothing() -> None:
    assert found(*CLEAN) == []
    assert noise.findings(log(*CLEAN), GPUS, NOISE) == ()


@pytest.mark.parametrize(
    ("text", "number", "place"),
    [
        ("NVRM: Xid (0000:11:00): 79, GPU has fallen off the bus.", 79, "gpu1 (0000:11:00.0)"),
        ("NVRM: Xid (PCI:00000000:11:00.0): 79, pid=1", 79, "gpu1 (0000:11:00.0)"),
        ("NVRM: Xid (PCI:0000:11:00 GPU-I:01): 95, pid=1", 95, "gpu1 (0000:11:00.0)"),
        ("NVRM: Xid (PCI:0000:10:00): 48, pid='<unknown>', name=<unknown>, DBE", 48, "gpu0 (0000:10:00.0)"),
        ("NVRM: GPU 0000:11:00.0: GPU has fallen off the bus.", 79, "gpu1 (0000:11:00.0)"),
        ("NVRM: GPU at 0000:11:00.0 has fallen off the bus.", 79, "gpu1 (0000:11:00.0)"),
        ("NVRM: GPU at PCI:0000:11:00: GPU has fallen off the bus.", 79, "gpu1 (0000:11:00.0)"),
        ("NVRM: Xid (PCI:0000:99:00): 79, pid=1", 79, "0000:99:00.0, which is no GPU that the driver lists"),
        ("NVRM: Xid (PCI:ab): 79, pid=1", 79, "ab, which is no GPU that the driver lists"),
    ],
)
def test_forms_of_a_message(text: str, number: int, place: str) -> None:
    assert found(text) == [(number, place, "failed")]


def test_one_fall_that_is_told_twice_is_counted_once() -> None:
    (each,) = xids.findings(log(xid(79), "NVRM: GPU 0000:10:00.0: GPU has fallen off the bus."), GPUS, XIDS)
    assert len(each.events) == 1


def fix(*texts: str, number: int) -> str:
    return next(each.fix for each in xids.findings(log(*texts), GPUS, XIDS) if each.number == number)


def test_what_to_do_follows_from_what_came_after() -> None:
    assert fix(xid(48), number=48).startswith("drain, then nvidia-smi --gpu-reset -i 0; then see memory.rows")
    assert fix(xid(48), xid(63), number=48).startswith("the row is remapped at a reset")
    assert "replaced" in fix(xid(48), xid(63), xid(64), number=48)
    assert fix(xid(64), xid(48), xid(64, "0000:11:00"), number=48).startswith(
        "drain, then"
    )  # before, or another card's
    assert fix(xid(79), number=79) == "power-cycle the host"
    assert "reseat the card" in fix(xid(79), xid(79), number=79)
    assert "-i 0000:99:00.0" in fix(xid(46, "0000:99:00"), number=46)


@pytest.mark.parametrize(
    ("to", "outcome", "words"),
    [
        ("0x0 (None)", "info", ""),
        ("0x1 (GPU Reset Required)", "failed", "--gpu-reset -i 0"),
        ("0x2 (Node Reboot Required)", "failed", "reboot the host"),
        ("0x2 (OS Reboot)", "failed", "reboot the host"),
        ("0x3 (Drain P2P)", "failed", "RECOVERY"),
        ("0x4 (Drain and Reset)", "failed", "drain, then nvidia-smi"),
        ("0x9 (Something New)", "failed", "see nvml.recovery_action"),
    ],
)
def test_a_changed_recovery_action_is_judged_by_its_last_text(to: str, outcome: str, words: str) -> None:
    first = xid(154, rest=", GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)")
    last = xid(154, rest=f", GPU recovery action changed from 0x2 (Node Reboot Required) to {to}")
    (each,) = xids.findings(log(first, last), GPUS, XIDS)
    assert each.outcome == outcome
    assert words in each.fix


@pytest.mark.parametrize("row", NOISE["noise"], ids=lambda row: row["name"])
def test_each_kind_of_noise_is_heard_as_itself(row: Mapping[str, str]) -> None:
    outcome = row.get("outcome") or row["other" if "nvswitch" in row["line"] else "gpu"]
    (each,) = noise.findings(log(*CLEAN, row["line"]), GPUS, NOISE)
    assert (each.name, each.outcome, each.last.text) == (row["name"], outcome, row["line"])


@pytest.mark.parametrize(
    ("text", "name", "outcome"),
    [
        ("pcieport 0000:0f:00.0: AER: PCIe Bus Error: severity=Corrected, type=x", "aer_corrected", "warned"),
        ("pcieport 0000:0f:00.0: PCIe Bus Error: severity=Correctable, type=x", "aer_corrected", "warned"),
        ("nvme 0000:02:00.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal)", "aer_uncorrected", "warned"),
        ("{1}[Hardware Error]: event severity: corrected", "memory_corrected", "warned"),
        ("{1}[Hardware Error]: event severity: recoverable", "memory_uncorrected", "failed"),
        ("mce: [Hardware Error]: Machine check events logged", "memory_corrected", "warned"),
        ("Memory failure: 0x12c: recovery action for dirty LRU page: Recovered", "memory_uncorrected", "failed"),
        ("DMAR: [DMA Write] Request device [10:00.0] fault addr 1000", "iommu_fault", "failed"),
        ("DMAR: [DMA Read] Request device [02:00.0] fault addr 1000", "", ""),
    ],
)
def test_other_forms_and_other_devices(text: str, name: str, outcome: str) -> None:
    heard = [(each.name, each.outcome) for each in noise.findings(log(text), GPUS, NOISE)]
    assert heard == ([(name, outcome)] if name else [])


def test_the_check_passes_on_a_clean_log(host: Any) -> None:
    results = preflight(host[0], None, host[1], keyword="kernel")
    passes(results["kernel.xid_history"])
    passes(results["kernel.noise"])


def test_a_failure_names_number_card_time_count_and_what_to_do(host: Any) -> None:
    lines = log(xid(13), xid(63, "0000:11:00"), xid(79), xid(79), first=UPTIME - 7300)
    result = judged(host, "xid_history", kernel_log=lines)
    fails(
        result, "Xid 79 on gpu0 (0000:10:00.0), 2 times, 2 h ago: the GPU no longer answers", "in /dev/kmsg", "reseat"
    )
    assert "Xid 13" not in str(result)
    assert result.warnings[0].startswith("Xid 63 on gpu1 (0000:11:00.0) 2 h ago: a bad memory row")


def test_what_does_not_reject_warns(host: Any) -> None:
    result = judged(host, "xid_history", kernel_log=log(xid(94), xid(777)), uptime=Unknown("no clock"))
    warns(result, "Xid 94 on gpu0 (0000:10:00.0) 10 s after boot", "Xid 777", "does not know")


def test_an_old_bug_of_a_program_passes(host: Any) -> None:
    passes(judged(host, "xid_history", kernel_log=log(xid(13), xid(31), xid(43), xid(45))))


def test_what_came_before_the_last_accepted_run_was_judged_then(host: Any) -> None:
    """The log is of one boot; a fault that was mended, and after which the host was accepted, does not reject for ever."""
    lines = log(xid(79), first=UPTIME - 7300)
    passes(judged(host, "xid_history", kernel_log=lines, accepted=UPTIME - 3600))
    result = judged(host, "xid_history", kernel_log=lines, accepted=UPTIME - 8000)
    fails(result, "Xid 79 on gpu0", "no such Xid since this host was last accepted (2 h ago)")


def test_the_logs_clock_stands_still_while_a_host_sleeps(host: Any) -> None:
    lines = (*log("PM: suspend exit", first=20), *log(xid(79), first=UPTIME - 7300))
    fails(judged(host, "xid_history", kernel_log=lines, accepted=UPTIME - 3600), "no such Xid since boot")


@pytest.mark.parametrize(
    ("age", "words"), [(5, "5 s ago"), (600, "10 min ago"), (36000, "10 h ago"), (90000 * 9, "9 days ago"), (-5, "0 s")]
)
def test_ages(host: Any, age: float, words: str) -> None:
    fails(judged(host, "xid_history", kernel_log=(KernelLine(1e6 - age, xid(79)),), uptime=1e6), words)


def test_a_card_that_is_gone_still_counts(host: Any) -> None:
    fails(judged(host, "xid_history", kernel_log=log(xid(79, "0000:99:00"))), "0000:99:00.0, which is no GPU that")


def test_a_card_that_this_container_was_not_given_is_not_judged(host: Any) -> None:
    nodes = tuple(DeviceNode(f"/dev/{name}", None) for name in ("nvidiactl", "nvidia0", "nvidia1"))
    given = {"container": "docker", "device_nodes": nodes}
    warns(judged(host, "xid_history", kernel_log=log(xid(79, "0000:99:00")), **given), "Xid 79 on 0000:99:00.0")
    fails(judged(host, "xid_history", kernel_log=log(xid(79)), **given), "gpu0")


def test_a_log_whose_beginning_is_lost_says_so(host: Any) -> None:
    warns(judged(host, "xid_history", kernel_log_begins=3600.0), "begins 3600 s after boot", "log_buf_len")


def test_under_wsl_there_is_no_such_log(host: Any) -> None:
    result = judged(host, "xid_history", wsl=True)
    assert (result.outcome, result.required) == ("skipped", False)


REFUSED = Unknown("/dev/kmsg: Operation not permitted")


def unread(folder: Path, **faults: str) -> CheckResult:
    """The Xid history of a host whose log cannot be read, and whose cards give these answers."""
    well = replace(A100, faults={"ecc_uncorrected": "0"})
    facts, environ = seen(FakeHost(gpus=(replace(well, faults={**well.faults, **faults}), well)), folder)
    return judged((facts, environ), "xid_history", kernel_log=REFUSED)


def test_what_the_driver_counts_stands_in_for_an_unreadable_log(tmp_path: Path) -> None:
    warns(unread(tmp_path), REFUSED.reason, "judged instead", "no uncorrected memory error", "dmesg_restrict")


def test_nothing_stands_in_where_a_card_tells_of_trouble(tmp_path: Path) -> None:
    result = unread(tmp_path, ecc_uncorrected="7")
    assert (result.outcome, result.required) == ("skipped", True)
    assert "gpu0 tells of trouble in ecc_uncorrected" in result.summary


def test_nothing_stands_in_where_no_card_answers(host: Any) -> None:
    result = judged(host, "xid_history", kernel_log=REFUSED, gpus=())
    assert (result.outcome, result.required) == ("skipped", True)
    assert "dmesg_restrict" in result.summary


def test_noise_fails_warns_and_counts(host: Any) -> None:
    lines = {row["name"]: row["line"] for row in NOISE["noise"]}
    heard = log(lines["aer_uncorrected"], lines["aer_corrected"], lines["aer_corrected"], first=UPTIME - 7300)
    result = judged(host, "noise", kernel_log=heard)
    fails(result, "gpu0 (0000:10:00.0): the PCI link lost data", "severity=Uncorrected", "reseat")
    assert "2 times, last 2 h ago" in result.warnings[0]


def test_the_bridges_of_a_virtual_machine_tell_nothing_of_the_link(host: Any) -> None:
    """QEMU's root ports have one lane of generation 1, whatever the card behind them has."""
    made_up = (
        "pci 0000:10:00.0: 2.000 Gb/s available PCIe bandwidth, limited by 2.5 GT/s PCIe x1 link at 0000:00:02.0 "
        "(capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)"
    )
    fails(judged(host, "noise", kernel_log=log(made_up)), "fewer lanes")
    passes(judged(host, "noise", kernel_log=log(made_up), cpu_flags=("avx", "hypervisor")))
    lost = log({row["name"]: row["line"] for row in NOISE["noise"]}["aer_uncorrected"])
    fails(judged(host, "noise", kernel_log=lost, cpu_flags=("avx", "hypervisor")), "lost data")


def test_a_process_that_hangs_in_the_driver(host: Any) -> None:
    stuck = (StuckProcess(4242, "nvidia-smi", ("/dev/nvidia0",)), StuckProcess(7, "nv_queue", ()))
    fails(judged(host, "noise", stuck=stuck), "pid 4242 (nvidia-smi) holds /dev/nvidia0", "pid 7 (nv_queue)", "reboot")


def test_what_was_not_looked_at_is_said(host: Any) -> None:
    result = judged(host, "noise", kernel_log=REFUSED, stuck=Unknown("/proc: Permission denied"))
    warns(result, "the kernel's log was not judged", "processes were not judged: /proc: Permission denied")
