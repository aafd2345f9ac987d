"""A recorded host, made into a fake one, tells what the host told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.host import readings
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import Abandoned, HostFacts
from paddle_bootstrap.host.recording import Masks, masked, record
from tests.fakes.host import DESCRIBED, NO_GPU, FakeHost

Seen = Callable[[FakeHost], tuple[HostFacts, dict[str, str]]]
DRIVER = ("library", "cuda_version", "nvml_code")
FAULTS = {
    "gpu1.temperature": "!15",
    "gpu2.handle": "!999",
    "gpu3.rows.pending": "true",
    "gpu4.processes": "4242 compute 1100000000; 77 graphics -",
    "gpu5.nvlinks.3": "false",
    "gpu6.fabric.health": "!3",
    "gpu7.power.draw_w": "71.25",
    "log.200": "NVRM: Xid (PCI:0000:13:00): 31, pid=4242, name=secret.py, Ch 00000008",
}


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    def look(host: FakeHost) -> tuple[HostFacts, dict[str, str]]:
        environ = {**os.environ, **host.write(tmp_path / str(len(list(tmp_path.iterdir()))))}
        return collect(root=Path(environ["PADDLE_BOOTSTRAP_ROOTFS"]), environ=environ), environ

    return look


@pytest.fixture
def recorded(seen: Seen, tmp_path: Path) -> Callable[[FakeHost], tuple[str, HostFacts, Any, FakeHost]]:
    """The text, what was seen of the host, its readings, and the host that the text makes."""

    def recorder(host: FakeHost) -> tuple[str, HostFacts, Any, FakeHost]:
        facts, environ = seen(host)
        text = record(environ, Path(environ["PADDLE_BOOTSTRAP_ROOTFS"]), facts, seconds=1)
        (tmp_path / "recorded.toml").write_text(text, encoding="utf-8")
        indices = range(len(facts.gpus) if isinstance(facts.gpus, tuple) else 0)
        return text, facts, readings.sweep(environ, indices, seconds=1), FakeHost.from_file(tmp_path / "recorded.toml")

    return recorder


def faulty() -> FakeHost:
    host = FakeHost.from_file(DESCRIBED / "h100-x8.toml")
    for key, value in FAULTS.items():
        host = host.with_fault(key, value)
    return host


@pytest.mark.parametrize(
    "name", ["4090-x4", "v100-x8-old-driver", "container-2-of-8", "wsl2-4090", "vgpu-a40", "faulty"]
)
def test_a_round_trip(name: str, recorded: Callable[..., Any], seen: Seen) -> None:
    host = faulty() if name == "faulty" else FakeHost.from_file(DESCRIBED / f"{name}.toml")
    _, facts, told, again = recorded(host)
    facts_again, environ = seen(again)
    assert masked(readings.sweep(environ, told), Masks()) == masked(told, Masks())
    assert [getattr(facts_again.driver, name) for name in DRIVER] == [getattr(facts.driver, name) for name in DRIVER]
    assert (facts_again.pci_gpus, facts_again.container) == (facts.pci_gpus, facts.container)
    assert (facts_again.wsl, facts_again.uptime) == (facts.wsl, facts.uptime)


def test_what_identifies_the_host_is_masked(recorded: Callable[..., Any]) -> None:
    host = faulty().with_fault("gpu7.serial", "1652923011006")  # two cards with one serial: that is to be seen
    uuid = "GPU-4dd3bd4b-5a5e-1a2b-9c3d-0123456789ab"
    host = host.with_fault("log.3600", f"NVRM: GPU at PCI:0000:15:00: {uuid}")
    host = host.with_fault("log.3601", "NVRM: GPU Board Serial Number: 1652923011006")
    text, facts, told, again = recorded(host)
    assert facts.hostname not in text
    assert uuid not in text
    assert f"Serial Number: {again.rows(7)['serial']}" in text
    assert "secret.py" not in text
    assert "name=?" in text
    for of_gpu in told.values():
        assert str(of_gpu["uuid"]) not in text
        assert str(of_gpu["serial"]) not in text
    rows = [again.rows(index) for index in range(8)]
    assert len({row["uuid"] for row in rows if "!" not in row.get("handle", "")}) == 7
    assert rows[6]["serial"] == rows[7]["serial"] != rows[5]["serial"]


def test_what_is_the_same_on_all_cards_stands_once(recorded: Callable[..., Any]) -> None:
    text, *_ = recorded(FakeHost.from_file(DESCRIBED / "4090-x4.toml"))
    told = toml.loads(text)
    assert told["gpu"]["name"] == "NVIDIA GeForce RTX 4090"
    assert set(told["gpu3"]) == {"uuid", "pci_address", "minor", "peers", "ancestors"}
    assert told["system"] == {"driver": "550.90.07", "cuda": 12040, "uptime": 86400.0, "pci_class": "0x030000"}


def test_a_card_that_hung(recorded: Callable[..., Any], seen: Seen) -> None:
    host = FakeHost.from_file(DESCRIBED / "t4-x1.toml").with_fault("gpu0.persistence", "~60")
    text, _, _, again = recorded(host)
    assert 'persistence = "~60"' in text
    _, environ = seen(again)
    card = readings.sweep(environ, [0], seconds=0.5)[0]
    assert card["persistence"].reason.startswith("NVML did not answer in 0.5 s")
    assert type(card["display"]) is Abandoned
    assert card["temperature"] == 36


def test_a_host_without_a_gpu(recorded: Callable[..., Any]) -> None:
    text, _, _, again = recorded(NO_GPU)
    assert toml.loads(text)["system"] == {"uptime": 86400.0}
    assert again == replace(NO_GPU, log=again.log)
