"""GPU models as data: every row is complete and told by its id alone."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.harness.models import Card, Model, card_of, equal, model_of, named, plain, table
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.facts import Unknown

MODELS = table().models


def derived(memory_mhz: float, bus_bits: int) -> float:
    return 2 * memory_mhz * 1e6 * bus_bits / 8 / 1e9


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_row_can_be_meant(model: Model) -> None:
    assert model.pci_ids
    assert all(re.fullmatch(r"[0-9a-f]{4}", pci_id) for pci_id in model.pci_ids)
    assert 8 <= model.memory_gb <= 300
    assert 200 <= model.bandwidth_gbs <= 8000
    assert 3 <= model.pcie_generation <= 6
    assert model.pcie_width == 16
    assert 50 <= model.tdp_w <= 1400
    assert (model.nvlink_links > 0) == (model.nvlink_gbs is not None)
    assert model.nvlink_links in (0, 4, 6, 8, 12, 18)
    assert not model.bridge or model.nvlink_links
    assert all(len(words) > 5 for words in model.source)
    assert model.source
    rates = [rate for rate in (model.fp32, model.tf32, model.fp16) if rate]
    assert rates == sorted(rates)


def test_an_id_and_a_name_belong_to_one_model() -> None:
    ids = Counter(pci_id for model in MODELS for pci_id in model.pci_ids)
    assert [pci_id for pci_id, number in ids.items() if number > 1] == []
    assert len({model.name for model in MODELS}) == len(MODELS) == 41


def test_no_source_is_unused_or_unknown() -> None:
    data = toml.read(built_in_checks() / "gpus.toml")
    used = {letter for row in data["gpu"] for letter in row["source"]}
    assert used <= set(data["sources"])


@pytest.mark.parametrize(
    ("pci_id", "memory_mhz", "bus_bits"),
    [("2330", 2619, 5120), ("2335", 3201, 6144), ("20b2", 1593, 5120), ("1eb8", 5001, 256), ("1db1", 877, 4096)],
)
def test_bandwidth_is_that_of_clock_and_bus(pci_id: str, memory_mhz: float, bus_bits: int) -> None:
    model = model_of(pci_id)
    assert model
    assert model.bandwidth_gbs == pytest.approx(derived(memory_mhz, bus_bits), rel=0.025)


def test_a_model_is_found_by_its_id() -> None:
    found = model_of("2330", "NVIDIA H100 80GB HBM3")
    assert found
    assert (found.name, found.nvlink_links, found.nvlink_gbs) == ("H100 80GB HBM3", 18, 900)
    assert model_of("20F3") == named("NVIDIA A800-SXM4-80GB")
    assert model_of("2330", "whatever the driver says") == found


@pytest.mark.parametrize("pci_id", [None, "", "ffff", 0x2330, Unknown("NVML did not answer")])
def test_an_unknown_id_has_no_model(pci_id: object) -> None:
    assert model_of(pci_id, "NVIDIA H100 80GB HBM3") is None


def test_a_recalled_id_counts_only_with_its_name() -> None:
    assert model_of("2b85") is None
    assert model_of("2b85", "NVIDIA GeForce RTX 5080") is None
    found = model_of("2b85", "NVIDIA GeForce RTX 5090")
    assert found
    assert found.unsure


@pytest.mark.parametrize("name", ["GRID T4-16Q", "NVIDIA A100-40C", "NVIDIA A100-1-5CME"])
def test_a_virtual_gpu_is_a_part_of_a_card(name: str) -> None:
    assert model_of("1eb8", name) is None
    assert named(name) is None


def test_no_model_s_own_name_is_taken_for_a_virtual_one() -> None:
    for model in MODELS:
        assert model_of(model.pci_ids[0], f"NVIDIA {model.name}") == model


def test_a_name_is_told_with_or_without_the_maker() -> None:
    assert plain("NVIDIA A10") == plain("A10") == "A10"
    assert plain("Tesla T4") == plain("NVIDIA T4") == "T4"
    assert plain(Unknown("no")) is None
    assert named("NVIDIA B1") is None


def test_equal_cards() -> None:
    h100, other = Card("2330", "NVIDIA H100 80GB HBM3"), Card("2331", "NVIDIA H100 PCIe")
    assert equal(h100, Card("2330", None))
    assert not equal(h100, other)
    assert equal(Card(None, "NVIDIA A10"), Card("2236", "A10"))
    assert not equal(Card(None, None), Card(None, None))
    assert card_of({"pci_device_id": Unknown("x"), "name": Unknown("y")}) == Card(None, None)
    assert card_of({"pci_device_id": "20F3", "name": "NVIDIA A800-SXM4-80GB"}).pci_id == "20f3"
    assert (Card("abcd", None).label, Card(None, None).label) == ("PCI id abcd", "a GPU of unknown model")
