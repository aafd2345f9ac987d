"""Everything that NVML tells of each GPU, by name: values, what is not supported, what failed, and what hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host import readings, sampling
from paddle_bootstrap.host.facts import Abandoned, Late, Unknown, Unsupported, to_json
from paddle_bootstrap.host.nvml_readings import READINGS
from tests.fakes.host import A100, DESCRIBED, NO_GPU, FakeHost

ROOT = Path(__file__).resolve().parents[3]
Sweep = Callable[..., dict[int, dict[str, Any]]]
H100 = FakeHost.from_file(DESCRIBED / "h100-x8.toml")
TWO = replace(H100, gpus=H100.gpus[:2])


@pytest.fixture
def environ(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def writer(host: FakeHost, **more: str) -> dict[str, str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return {**os.environ, **host.write(folder), **more}

    return writer


@pytest.fixture
def swept(environ: Callable[..., dict[str, str]]) -> Sweep:
    def sweep(host: FakeHost, *names: str, **more: Any) -> dict[int, dict[str, Any]]:
        return readings.sweep(environ(host), range(len(host.gpus)), names or None, **more)

    return sweep


def told(value: object, kind: type[Unknown]) -> str:
    assert type(value) is kind, value
    return value.reason  # type: ignore[no-any-return, attr-defined]


def test_a_card_that_tells_everything(swept: Sweep) -> None:
    first, second = swept(TWO).values()
    assert list(first) == ["handle", *READINGS]
    assert {name for name, value in second.items() if isinstance(value, Unknown)} == {"retired_pages"}
    assert second == {
        "handle": True,
        "index": 1,
        "uuid": TWO.uuid(1),
        "pci_address": "0000:11:00.0",
        "pci_device_id": "2330",
        "name": "NVIDIA H100 80GB HBM3",
        "serial": "1652923011001",
        "vbios": "96.00.74.00.01",
        "minor": 1,
        "brand": 14,
        "architecture": 9,
        "compute_capability": [9, 0],
        "memory": {"total": 85520809984, "reserved": 577765376, "used": 1048576, "free": 84941996032},
        "bus_width": 5120,
        "ecc_mode": {"current": True, "pending": True},
        "ecc_uncorrected": 0,
        "ecc_corrected": 0,
        "ecc_uncorrected_aggregate": 0,
        "ecc_sram": {"uncorrected": 0, "threshold_exceeded": False},
        "rows": {"corrected": 0, "uncorrected": 0, "pending": False, "failed": False},
        "row_banks": {"max": 2560, "high": 0, "partial": 0, "low": 0, "none": 0},
        "retired_pages": Unsupported("NVML code 3: Not Supported"),
        "inforom": True,
        "recovery_action": 0,
        "pcie": {"width": 16, "generation": 5, "max_width": 16, "max_generation": 5, "card_generation": 5},
        "pcie_replays": 0,
        "nvlinks": [{"link": link, "active": True} for link in range(18)],
        "nvlink_errors": {"replay": 0, "recovery": 0, "crc_flit": 0, "crc_data": 0},
        "fabric": {"state": 3, "status": 0, "health": 1},
        "clocks": {"sm": 345, "memory": 2619, "max_sm": 1980, "max_memory": 2619},
        "application_clocks": {
            "graphics": 1980,
            "memory": 2619,
            "default_graphics": 1980,
            "default_memory": 2619,
        },
        "throttle_reasons": 1,
        "temperature": 29,
        "temperature_limits": {"shutdown": 95, "slowdown": 92, "memory_max": 95, "gpu_max": 87},
        "memory_temperature": 38,
        "power": {"draw_w": 69.4, "enforced_w": 700.0, "default_w": 700.0, "min_w": 200.0, "max_w": 700.0},
        "persistence": True,
        "compute_mode": 0,
        "mig": {"current": False, "pending": False},
        "processes": [],
        "display": {"active": False, "mode": False},
        "peers": {0: 0},
        "ancestors": {0: 40},
    }


def test_an_old_driver_lacks_calls_and_others_take_their_place(swept: Sweep) -> None:
    card = swept(FakeHost.from_file(DESCRIBED / "v100-x8-old-driver.toml"))[7]
    assert told(card["bus_width"], Unsupported) == "this driver has no nvmlDeviceGetMemoryBusWidth"
    assert card["bus_width"].code == 13
    assert told(card["recovery_action"], Unsupported) == "NVML code 3: Not Supported"
    assert card["memory"]["reserved"] is None  # known from a newer structure only
    assert card["memory"]["used"] == 272629760
    assert card["pcie"]["card_generation"] is None
    assert card["ecc_sram"] == {"uncorrected": 0, "threshold_exceeded": None}
    assert (card["temperature"], card["throttle_reasons"], card["processes"]) == (34, 1, [])


def test_a_driver_that_knows_an_older_structure(swept: Sweep) -> None:
    host = FakeHost.from_file(DESCRIBED / "h20-x8.toml")
    assert swept(host, "fabric")[0]["fabric"] == {"state": 3, "status": 0, "health": None}


def test_processes_of_all_kinds(swept: Sweep) -> None:
    host = TWO.with_fault("gpu1.processes", "4242 compute 1100000000; 77 graphics -; 4243 compute 5; 9 mps 30")
    assert swept(host, "processes")[1]["processes"] == [
        {"pid": 4242, "memory": 1100000000, "kind": "compute"},
        {"pid": 4243, "memory": 5, "kind": "compute"},
        {"pid": 77, "memory": None, "kind": "graphics"},
        {"pid": 9, "memory": 30, "kind": "mps"},
    ]


def test_retired_pages_are_counted(swept: Sweep) -> None:
    host = FakeHost.from_file(DESCRIBED / "v100-x8.toml").with_fault("gpu2.retired_pages.double", "64")
    assert swept(host, "retired_pages")[2]["retired_pages"] == {"single": 0, "double": 64, "pending": False}


def test_a_damaged_inforom_is_a_value(swept: Sweep) -> None:
    assert swept(TWO.with_fault("gpu0.inforom", "false"), "inforom")[0]["inforom"] is False


def test_links_that_are_down(swept: Sweep) -> None:
    card = swept(TWO.with_fault("gpu0.nvlinks.0", "false").with_fault("gpu0.nvlink_errors.replay", "5"))[0]
    assert [link["link"] for link in card["nvlinks"] if not link["active"]] == [0]
    assert card["nvlink_errors"] == {"replay": 5, "recovery": 0, "crc_flit": 0, "crc_data": 0}


@pytest.mark.parametrize("code", [1, 2, 4, 6, 10, 15, 16, 25, 999, 1234])
def test_any_other_code_is_a_failure_of_that_reading_alone(swept: Sweep, code: int) -> None:
    card = swept(TWO.with_fault("gpu1.temperature", f"!{code}"), "temperature", "power")[1]
    assert told(card["temperature"], Unknown).partition(": NVML code ")[2].startswith(f"{code}: ")
    assert card["temperature"].code == code
    assert card["power"]["draw_w"] == 69.4


def test_a_part_that_fails_fails_the_reading(swept: Sweep) -> None:
    card = swept(TWO.with_fault("gpu0.power.default_w", "!15"), "power")[0]
    assert told(card["power"], Unknown) == ("nvmlDeviceGetPowerManagementDefaultLimit: NVML code 15: GPU is lost")


def test_a_field_that_the_driver_does_not_know(swept: Sweep) -> None:
    card = swept(TWO.with_fault("gpu0.recovery_action", "!2"), "recovery_action")[0]
    assert told(card["recovery_action"], Unsupported) == "this driver has no field 230"


def test_a_name_that_is_no_text(swept: Sweep) -> None:
    card = swept(TWO.with_fault("gpu0.name", "caf\udce9"), "name", "vbios")[0]
    assert "is not UTF-8" in told(card["name"], Unknown)
    assert card["vbios"] == "96.00.74.00.01"


def test_one_card_cannot_be_had(swept: Sweep) -> None:
    lost, good = swept(TWO.with_fault("gpu0.handle", "!15")).values()
    assert told(lost["handle"], Unknown) == "nvmlDeviceGetHandleByIndex: NVML code 15: GPU is lost"
    assert {type(value) for name, value in lost.items() if name != "handle"} == {Abandoned}
    assert told(lost["rows"], Abandoned).startswith("gpu0 cannot be asked: nvmlDeviceGetHandleByIndex: ")
    assert good["handle"] is True
    assert good["peers"] == {}  # the lost one tells of itself


@pytest.mark.parametrize("host", [NO_GPU, FakeHost(system={"init": "!18"})])
def test_nvml_does_not_start(environ: Callable[..., dict[str, str]], host: FakeHost) -> None:
    card = readings.sweep(environ(host), [0])[0]
    assert told(card["handle"], Unknown).startswith("nvmlInit: NVML code 1")
    assert type(card["name"]) is Abandoned


def test_a_card_that_hangs_is_abandoned_and_the_others_go_on(swept: Sweep) -> None:
    began = time.monotonic()
    stuck, good = swept(TWO.with_fault("gpu0.temperature", "~60"), seconds=0.5).values()
    assert time.monotonic() - began < 5
    expected = "NVML did not answer in 0.5 s while asked for temperature of gpu0"
    assert told(stuck["temperature"], Late) == expected
    assert told(stuck["power"], Abandoned) == expected
    assert stuck["throttle_reasons"] == 1
    assert not [name for name, value in good.items() if type(value) in (Unknown, Late, Abandoned)]


def test_a_card_that_hangs_when_it_is_opened_is_no_fault_of_the_others(swept: Sweep) -> None:
    stuck, good = swept(TWO.with_fault("gpu0.handle", "~60"), seconds=0.5, start=1).values()
    expected = "NVML did not answer in 1 s while asked for nvmlDeviceGetHandleByIndex of gpu0"
    assert told(stuck["handle"], Late) == expected
    assert told(good["peers"], Abandoned).endswith("while asked for peers of gpu1 (the call is about gpu0)")
    assert not [name for name, value in good.items() if type(value) in (Unknown, Late)]


def test_the_deadline_is_for_each_call(swept: Sweep) -> None:
    host = replace(TWO, gpus=TWO.gpus[:1])
    for name in ("memory", "rows", "throttle_reasons"):
        host = host.with_fault(f"gpu0.{name}", "~1")  # late, and answers 999
    card = swept(host, "memory", "rows", "throttle_reasons", "temperature", seconds=1.8)[0]
    assert told(card["rows"], Unknown).endswith("NVML code 999: Unknown Error")
    assert card["temperature"] == 29


def test_a_driver_that_is_slow_at_everything(swept: Sweep) -> None:
    host = replace(TWO, gpus=TWO.gpus[:1])
    for name in ("memory", "rows", "throttle_reasons"):
        host = host.with_fault(f"gpu0.{name}", "~1")
    card = swept(host, "memory", "rows", "throttle_reasons", "temperature", seconds=1.8, whole=1.5)[0]
    reason = told(card["rows"], Late)
    assert reason == "NVML did not answer everything in 1.5 s, and was given up while asked for rows of gpu0"
    assert told(card["throttle_reasons"], Abandoned) == reason


def test_a_crash_is_named(swept: Sweep) -> None:
    card = swept(TWO.with_fault("gpu1.rows", "^11"))[1]
    reason = told(card["rows"], Unknown)
    assert reason == "the process that asks NVML died of SIGSEGV while asked for rows of gpu1"
    assert told(card["temperature"], Abandoned) == reason


SWEEP = """
import json, os
from paddle_bootstrap.host import readings
from paddle_bootstrap.host.facts import to_json
print(json.dumps(to_json(readings.sweep(os.environ, range(4), ["temperature", "power"], seconds=0.5))))
"""


def test_processes_in_d_state_are_left_behind(environ: Callable[..., dict[str, str]]) -> None:
    """All within one second, and the end of our own process does not wait for them."""
    host = replace(H100, gpus=H100.gpus[:4])
    for index in range(3):
        host = host.with_fault(f"gpu{index}.temperature", "@8")
    began = time.monotonic()
    around = {**environ(host), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", SWEEP], cwd=ROOT, env=around, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - began < 6
    cards = json.loads(done.stdout)
    assert cards["3"]["temperature"] == 29
    assert {cards[str(index)]["temperature"]["unknown"] for index in range(3)} == {
        f"NVML did not answer in 0.5 s while asked for temperature of gpu{index}; "
        "the process that asks it cannot be ended (D state) and was left behind"
        for index in range(3)
    }
    assert done.stderr == ""


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="no such reading: tempreature"):
        readings.sweep({}, [0], ["tempreature"])


def test_nothing_is_changed_and_each_counter_is_read_once(
    environ: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    around = environ(TWO, FAKE_NVML_TRACE=str(tmp_path / "trace"))
    readings.sweep(around, range(2))
    asked = Counter((tmp_path / "trace").read_text().splitlines())
    twice = {name for name, times in asked.items() if times > 1 and not name.startswith("sys.")}
    assert twice <= {
        "gpu0.handle",
        "gpu1.handle",
        *(f"gpu{index}.nvlink_errors.{part}" for index in range(2) for part in PARTS),
    }
    sampler = sampling.start(around, 0)
    time.sleep(0.5)
    assert sampler.stop()
    assert not [name for name in (tmp_path / "trace").read_text().splitlines() if "Set" in name]


PARTS = ("replay", "recovery", "crc_flit", "crc_data")


def test_a_counter_that_grows_between_two_sweeps(environ: Callable[..., dict[str, str]]) -> None:
    around = environ(TWO.with_fault("gpu1.pcie_replays", "0|900|!15"))
    read = [readings.sweep(around, [1], ["pcie_replays"])[1]["pcie_replays"] for _ in range(4)]
    assert read[:2] == [0, 900]
    assert read[2].code == read[3].code == 15


def test_unknown_values_are_plain_data() -> None:
    values: Mapping[str, Unknown] = {"a": Unsupported("x", 3), "b": Abandoned("y")}
    assert to_json(values) == {"a": {"unknown": "x"}, "b": {"unknown": "y"}}
    assert Unknown("x", 3) == Unknown("x") != Unsupported("x")
    assert not Unsupported("x")


def test_a_healthy_card_of_the_other_api(swept: Sweep) -> None:
    card = swept(FakeHost(gpus=(replace(A100, faults={"mig": "1"}),)), "mig", "rows", "memory")[0]
    assert card["mig"] == {"current": True, "pending": True}
    assert card["memory"]["total"] == 85_899_345_920
