"""What grew and what was logged while the checks ran, on described hosts whose counters change between two readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import Unknown
from tests.checks.health import DESCRIBED
from tests.checks.judging import Judged, fails, passes, preflight, seen, warns
from tests.fakes.host import FakeHost

Judge = Callable[..., Judged]
HEALTHY = ("v100-x8-old-driver", "t4-x1", "4090-x4", "vgpu-a40")  # and an H100 and a V100 among the faults below
LINKS = "reseat the baseboard or the bridge"
ONE_EACH = {  # on eight H100, one fault on each: key, value, what is said
    "gpu0": (
        "ecc_uncorrected",
        "0|1",
        ["1 uncorrectable memory errors during the checks", "0 before, 1 after", "reset it"],
    ),
    "gpu1": ("ecc_sram.uncorrected", "0|2", ["2 uncorrectable errors of the caches", "have it replaced"]),
    "gpu2": ("rows.pending", "false|true", ["remapping of memory that waits", "see memory.rows"]),
    "gpu3": ("nvlink_errors.recovery", "4|5", ["1 recoveries of an NVLink", "4 before, 5 after", LINKS]),
    "gpu4": (
        "pcie_replays",
        "7|907",
        ["900 PCIe replays", "900 in 1.0 min", "at most 31: 1.92 per lane", "reseat the card"],
    ),
    "gpu5": ("recovery_action", "0|1", ["asks to reset the card", "recovery action 1, it was 0", "--gpu-reset -i 5"]),
    "gpu6": ("temperature", "29|95", []),  # no counter
    "gpu7": ("rows", "0|!15", ["stopped telling rows while the checks ran", "see nvml.answers"]),
}
GROWS_TOO = {
    "gpu0": ("rows.uncorrected", "1|2", ["1 rows of memory remapped for uncorrectable errors"]),
    "gpu1": ("rows.failed", "false|true", ["remapping of memory that failed"]),
    "gpu2": ("nvlink_errors.replay", "0|3", ["3 replays on NVLink", LINKS]),
    "gpu3": ("nvlink_errors.crc_data", "0|3", ["3 wrong checksums of data on NVLink", LINKS]),
}
WARNED = {
    "gpu4": ("ecc_corrected", "5|12", ["7 corrected memory errors during the checks", "watch it"]),
    "gpu5": ("rows.corrected", "0|1", ["1 rows of memory remapped for corrected errors"]),
    "gpu6": ("nvlink_errors.crc_flit", "0|9", ["9 wrong checksums of flits"]),
    "gpu7": ("pcie_replays", "0|30", []),  # as many as a sound link of generation 5 may have in a minute
}


@pytest.fixture
def counted(tmp_path: Path) -> Judge:
    def counted(host: str, faults: Mapping[str, str] | None = None, *, log: str = "", **facts: object) -> Judged:
        fake = FakeHost.from_file(DESCRIBED / f"{host}.toml")
        for key, value in (faults or {}).items():
            fake = fake.with_fault(key, value)
        told, environ = seen(fake, tmp_path / "host")
        if log:
            with Path(environ["PADDLE_BOOTSTRAP_ROOTFS"], "dev/kmsg").open("a") as stream:
                stream.write(log)
        return preflight(replace(told, **facts), None, environ, level="standard", keyword="counters")

    return counted


def faults_of(table: Mapping[str, tuple[str, str, list[str]]]) -> dict[str, str]:
    return {f"{card}.{key}": value for card, (key, value, _) in table.items()}


def line(number: int, *, seconds: int = 7200, text: str = "pid=1, name=python", address: str = "0000:10:00") -> str:
    return f"4,{seconds},{seconds}000000,-;NVRM: Xid (PCI:{address}): {number}, {text}\n"


@pytest.mark.parametrize("host", HEALTHY)
def test_a_quiet_host_passes(host: str, counted: Judge) -> None:
    for name, result in counted(host).items():
        assert result.outcome in ("passed", "skipped"), f"{name}: {result.outcome}: {result.summary}"
        assert result.outcome == "passed" or not result.required, f"{name}: {result.summary}"


def test_what_no_counter_may_do_fails_on_its_card_alone(counted: Judge) -> None:
    results = counted("h100-x8", faults_of(ONE_EACH))
    for card, (_, _, words) in ONE_EACH.items():
        result = results[f"counters.quiet[{card}]"]
        fails(result, f"{card} (", *words) if words else passes(result)


def test_more_that_fails_and_what_only_warns(counted: Judge) -> None:
    results = counted("h100-x8", faults_of(GROWS_TOO) | faults_of(WARNED))
    for card, (_, _, words) in GROWS_TOO.items():
        fails(results[f"counters.quiet[{card}]"], f"{card} (", *words)
    for card, (_, _, words) in WARNED.items():
        result = results[f"counters.quiet[{card}]"]
        warns(result, f"{card} (", *words) if words else passes(result)


def test_pages_are_retired_on_older_cards(counted: Judge) -> None:
    results = counted("v100-x8", {"gpu1.retired_pages.double": "2|3", "gpu2.retired_pages.single": "0|1"})
    fails(results["counters.quiet[gpu1]"], "1 pages of memory retired for uncorrectable errors", "memory.pages")
    warns(results["counters.quiet[gpu2]"], "1 pages of memory retired for repeated corrected errors")
    passes(results["counters.quiet[gpu0]"])


def test_a_counter_that_may_not_be_read_leaves_the_question_open(counted: Judge) -> None:
    result = counted("t4-x1", {"gpu0.ecc_uncorrected": "!4"})["counters.quiet[gpu0]"]
    assert (result.outcome, result.required) == ("skipped", True)
    assert "may not be read by this user" in result.summary


def test_an_xid_during_our_own_run_fails(counted: Judge, t4: str) -> None:
    """13 and 43 too, which would be nothing in the history: our programs are right."""
    result = counted("t4-x1", log="".join(line(number, address=t4) for number in (13, 43, 79)))["counters.xid"]
    for number in (13, 43, 79):
        fails(result, f"Xid {number} on gpu0", "during the checks", f"NVRM: Xid (PCI:{t4}): {number}")


def test_an_older_xid_does_not(counted: Judge, t4: str) -> None:
    older = {"log.3600": f"NVRM: Xid (PCI:{t4}): 79, GPU has fallen off the bus."}
    passes(counted("t4-x1", older)["counters.xid"])


def test_an_xid_that_is_watched_or_of_another_card_warns(counted: Judge, t4: str) -> None:
    both = line(63, address=t4) + line(79, address="0000:ee:00")
    warns(counted("t4-x1", log=both)["counters.xid"], "Xid 63 on gpu0", "Xid 79 on 0000:ee:00.0")


def test_a_log_that_nobody_may_read_has_a_stand_in(counted: Judge) -> None:
    hidden = Unknown("dev/kmsg: Operation not permitted")
    warns(counted("t4-x1", kernel_log=hidden)["counters.xid"], "Operation not permitted", "counters.quiet")


def test_under_windows_there_is_no_log_to_ask(counted: Judge) -> None:
    result = counted("wsl2-4090", wsl=True)["counters.xid"]
    assert (result.outcome, result.required) == ("skipped", False)


@pytest.fixture(scope="module")
def t4(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the host's card is, as the driver writes that."""
    facts, _ = seen(FakeHost.from_file(DESCRIBED / "t4-x1.toml"), tmp_path_factory.mktemp("t4"))
    assert isinstance(facts.gpus, tuple)
    address = facts.gpus[0].pci_address
    assert isinstance(address, str)
    return address.removesuffix(".0")
