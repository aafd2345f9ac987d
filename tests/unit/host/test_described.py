"""The described hosts: each whole, known for where its numbers are from, and at one with the table of models."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.harness.models import model_of
from paddle_bootstrap.host.nvml_readings import READINGS
from tests.fakes.description import read
from tests.fakes.host import DESCRIBED, FakeHost
from tests.fakes.libraries import fake_nvml

HOSTS = sorted(DESCRIBED.glob("*.toml"))


def number(rows: dict[str, str], key: str) -> float:
    return float(rows[key])


def test_there_are_enough() -> None:
    assert len(HOSTS) >= 15
    models = {FakeHost.from_file(path).gpus[0].name for path in HOSTS}
    assert len(models) >= 12


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_a_described_host(path: Path) -> None:
    told, cards = read(path)
    assert told["source"]
    names = {name for table in told if table.startswith("gpu") for name in told[table]}
    assert names <= set(READINGS)
    host = FakeHost.from_file(path)
    rows = [host.rows(index) for index in range(len(cards))]
    assert len({row["uuid"] for row in rows}) == len({row["pci"] for row in rows}) == len(rows)
    for row in rows:
        parts = sum(number(row, f"memory.{part}") for part in ("reserved", "used", "free"))
        assert parts == number(row, "memory.total")


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_its_numbers_are_those_of_its_model(path: Path) -> None:
    """Memory bandwidth follows from clock and bus: both edges of the clock carry data, a byte has eight wires."""
    row = FakeHost.from_file(path).rows(0)
    model = model_of(row["pci.device_id"].removeprefix("0x"), row["name"])
    if model is None or "bus_width" not in row or "clocks.max_memory" not in row:
        return
    derived = 2 * number(row, "clocks.max_memory") * number(row, "bus_width") / 8 / 1000
    assert derived == pytest.approx(model.bandwidth_gbs, rel=0.03)
    assert number(row, "power.default_w") == model.tdp_w
    assert number(row, "pcie.max_width") == model.pcie_width
    links = [row[key] for key in row if key.startswith("nvlinks.")]
    assert links.count("true") in (model.nvlink_links, 0)


def test_a_fault_changes_nothing_else() -> None:
    host = FakeHost.from_file(DESCRIBED / "h100-x8.toml")
    changed = host.with_fault("gpu3.pcie.width", "8").with_fault("gpu.persistence", "false")
    assert changed.rows(3) == {**host.rows(3), "pcie.width": "8", "persistence": "false"}
    assert changed.rows(2) == {**host.rows(2), "persistence": "false"}
    with pytest.raises(AssertionError, match="there is no gpu8"):
        host.with_fault("gpu8.pcie.width", "8")


def test_all_readers_are_told_the_same(tmp_path: Path) -> None:
    host = FakeHost.from_file(DESCRIBED / "h100-x8.toml").with_fault("gpu3.pcie.width", "8")
    host = host.with_fault("log.77", "NVRM: Xid (PCI:0000:13:00): 79, GPU has fallen off the bus.")
    host = host.with_fault("cuda.dev3.flip_product", "3").with_fault("env.NCCL_DEBUG", "INFO")
    environ = host.write(tmp_path / "host")
    bus = tmp_path / "host/rootfs/sys/bus/pci/devices/0000:13:00.0"
    files = ("device", "current_link_width", "max_link_width", "max_link_speed")
    assert [(bus / name).read_text().strip() for name in files] == ["0x2330", "8", "16", "32.0 GT/s PCIe"]
    log = (tmp_path / "host/rootfs/dev/kmsg").read_text().splitlines()
    assert log[-1] == "6,4,77000000,-;NVRM: Xid (PCI:0000:13:00): 79, GPU has fallen off the bus."
    rows = Path(environ["FAKE_CUDA_CONF"]).read_text().splitlines()
    assert rows == [*(f"dev{index}.nvlink = 1" for index in range(8)), "dev3.flip_product = 3"]
    assert environ["FAKE_CUDA_ADDRESSES"].split(",")[3] == host.address(3) == "0000:13:00.0"
    assert environ["NCCL_DEBUG"] == "INFO"


def test_an_old_driver_is_known_by_what_its_library_lacks() -> None:
    table = toml.read(DESCRIBED / "v100-x8-old-driver.toml")["system"]
    shown = subprocess.run(
        ["nm", "-D", str(fake_nvml(driver=table["driver"]))], capture_output=True, text=True, check=True
    )
    assert "nvmlDeviceGetComputeRunningProcesses_v2" in shown.stdout
    assert "nvmlDeviceGetComputeRunningProcesses_v3" not in shown.stdout
