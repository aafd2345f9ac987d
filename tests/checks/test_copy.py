"""Copies by the driver alone, on cards that are slow, wrong, or hang."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.results.model import CheckResult
from tests.checks.driver import a100, cards, gpu, host_of, loads
from tests.checks.judging import fails, passes, warns
from tests.fakes.host import FakeGpu

ONE, TWO, THREE = cards(1), cards(2), cards(3)
NVLINK = tuple(f"dev{index}.nvlink = 1" for index in range(8))


def rates(result: CheckResult) -> dict[str, float]:
    return {measured.name: round(measured.value, 1) for measured in result.measurements}


def only(results: Mapping[str, CheckResult], *bad: str) -> None:
    """All but ``bad`` passed."""
    for name, result in results.items():
        if name not in bad:
            passes(result)


def test_healthy_cards(tmp_path: Path) -> None:
    results = loads(TWO, tmp_path, "copy.")
    only(results)
    assert len(results) == 8
    assert rates(results["copy.device[gpu0]"]) == {"copy_device": 1750}
    assert rates(results["copy.host[gpu1]"]) == {"copy_to_device": 100, "copy_from_device": 100}
    assert rates(results["copy.peers[gpu0]"]) == {"copy_peers": 1000, "copy_peers_slowest": 1000}


def test_a_card_below_its_floor(tmp_path: Path) -> None:
    results = loads(ONE, tmp_path, "copy.device", "dev0.gbs.device = 900")
    fails(results["copy.device[gpu0]"], "copy_device 900 GB/s", "floor 1173")


def test_a_card_that_is_slower_than_its_equals(tmp_path: Path) -> None:
    """Above the floor, and yet 20 % slower: measured again alone, and named."""
    results = loads(THREE, tmp_path, "copy.device", "dev1.gbs.device = 1400")
    fails(results["copy.device[gpu1]"], "20 % slower than its equals")
    assert rates(results["copy.device[gpu1]"]) == {"copy_device_together": 1400, "copy_device": 1400}
    only(results, "copy.device[gpu1]")


@pytest.mark.parametrize("at", ["64", "-1"], ids=["one byte", "nothing is copied"])
def test_wrong_bytes_within_a_card(at: str, tmp_path: Path) -> None:
    results = loads(TWO, tmp_path, "copy.device", f"dev1.wrong_copy.device = {at}")
    where = "the first, at byte 64" if at == "64" else "65536 of 65536 words wrong"
    fails(results["copy.device[gpu1]"], f"within gpu1 ({TWO.address(1)}, {TWO.uuid(1)}) bring wrong bytes", where)
    only(results, "copy.device[gpu1]")


@pytest.mark.parametrize("way", ["to_device", "to_host"])
def test_wrong_bytes_on_the_way_to_the_host_and_back(way: str, tmp_path: Path) -> None:
    results = loads(TWO, tmp_path, "copy.host", f"dev0.wrong_copy.{way} = 4096")
    fails(results["copy.host[gpu0]"], "from gpu0", "wrong bytes", "the first, at byte 4096", "aer")
    only(results, "copy.host[gpu0]")


def test_a_slow_link(tmp_path: Path) -> None:
    """0.65 x 31.5 GB/s, the rate of generation 4 with 16 lanes."""
    results = loads(TWO, tmp_path, "copy.host", "dev1.gbs.to_host = 11", "dev0.gbs.to_device = 21")
    fails(results["copy.host[gpu1]"], "copy_from_device 11 GB/s", "floor 20.4")
    only(results, "copy.host[gpu1]")


def test_the_node_of_a_card(tmp_path: Path) -> None:
    """Its processors are used where this process may, and who may not is told."""
    mine = min(os.sched_getaffinity(0))
    files = {
        f"sys/bus/pci/devices/{TWO.address(0)}/numa_node": "0\n",
        f"sys/bus/pci/devices/{TWO.address(1)}/numa_node": "1\n",
        "sys/devices/system/node/node0/cpulist": f"{mine}\n",
        "sys/devices/system/node/node1/cpulist": "900-931,960-991\n",
    }
    before = os.sched_getaffinity(0)
    results = loads(TWO, tmp_path, "copy.host", files=files)
    passes(results["copy.host[gpu0]"])
    warns(results["copy.host[gpu1]"], "gpu1 is on NUMA node 1", "none of that node's processors")
    assert os.sched_getaffinity(0) == before


def test_a_link_that_stays_slow_under_load(tmp_path: Path) -> None:
    """An idle link is slow on purpose; this one is when it works."""
    slow = a100(pcie__generation="1")
    results = loads(host_of(a100(), slow), tmp_path, "link_under_load")
    fails(results["copy.link_under_load[gpu1]"], "stays at generation 1 under load", "generation 4", "riser")
    only(results, "copy.link_under_load[gpu1]")


def test_a_link_that_wakes_up(tmp_path: Path) -> None:
    waking = a100(pcie__generation="1|1|4")
    only(loads(host_of(waking), tmp_path, "link_under_load"))


def test_a_link_that_loses_lanes_under_load(tmp_path: Path) -> None:
    losing = a100(pcie__width="16|8")
    results = loads(host_of(losing), tmp_path, "link_under_load")
    fails(results["copy.link_under_load[gpu0]"], "loses lanes under load", "x8", "x16")


def test_a_link_that_cannot_be_read(tmp_path: Path) -> None:
    """Not at all: nothing to test. Not while it works: nothing was tested, and that is no excuse."""
    for folder, reading, required in (("never", "", False), ("later", "4|!999", True)):
        (tmp_path / folder).mkdir()
        silent = a100(pcie__generation=reading) if reading else FakeGpu("NVIDIA A100-SXM4-80GB")
        results = loads(host_of(silent), tmp_path / folder, "link_under_load")
        result = results["copy.link_under_load[gpu0]"]
        assert (result.outcome, result.required) == ("skipped", required), result


def test_wrong_bytes_between_two_cards(tmp_path: Path) -> None:
    results = loads(THREE, tmp_path, "copy.peers", "dev2.wrong_copy.peer0 = 1000")
    fails(results["copy.peers[gpu2]"], "from gpu2", "to gpu0", "directly", "wrong bytes", "ACS", "at byte 1000")
    only(results, "copy.peers[gpu2]")


def test_cards_without_peer_access(tmp_path: Path) -> None:
    """As a 4090: copies go through the host, and are compared all the same."""
    apart = ("dev0.access.peer1 = 0", "dev1.access.peer0 = 0")
    gamer = gpu("NVIDIA GeForce RTX 4090", "2684")
    results = loads(host_of(gamer, gamer), tmp_path, "copy.peers", *apart, "dev0.wrong_copy.peer1 = 8")
    fails(results["copy.peers[gpu0]"], "to gpu1", "through the host", "wrong bytes")
    assert rates(results["copy.peers[gpu1]"]) == {"copy_peers": 10, "copy_peers_slowest": 10}
    only(results, "copy.peers[gpu0]")


def test_a_slow_pair_over_nvlink(tmp_path: Path) -> None:
    """Two cards share all twelve links of 25 GB/s: 0.60 of 300."""
    results = loads(TWO, tmp_path, "copy.peers", *NVLINK, "dev0.gbs.peer1 = 250", "dev1.gbs.peer0 = 170")
    fails(
        results["copy.peers[gpu1]"],
        "to gpu0",
        "over NVLink are slow",
        "170.0 GB/s, alone too",
        "180.0 GB/s",
        "300 GB/s",
    )
    only(results, "copy.peers[gpu1]")


def test_a_pair_that_is_slow_only_beside_others(tmp_path: Path) -> None:
    """Tried again alone, it is fast."""
    fast = ("dev0.gbs.peer1 = 250", "dev1.gbs.peer0 = 170", "dev1.gbs_later.peer0 = 250")
    results = loads(TWO, tmp_path, "copy.peers", *NVLINK, *fast)
    only(results)
    assert rates(results["copy.peers[gpu1]"]) == {"copy_peers": 170, "copy_peers_slowest": 170}


def test_links_that_are_shared_out_without_a_switch(tmp_path: Path) -> None:
    """Three cards, two peers each: six links to each, 150 GB/s, of which 0.60 are 90."""
    fast = [f"dev{one}.gbs.peer{other} = 95" for one in range(3) for other in range(3)]
    only(loads(THREE, tmp_path, "copy.peers", *NVLINK, *fast))


def test_all_links_lead_to_each_card_behind_a_switch(tmp_path: Path) -> None:
    """Six cards, five peers each: only a switch has so many."""
    slow = [f"dev{one}.gbs.peer{other} = {95 if one == 4 else 280}" for one in range(6) for other in range(6)]
    results = loads(cards(6), tmp_path, "copy.peers", *NVLINK, *slow)
    fails(results["copy.peers[gpu4]"], "from gpu4", "95.0 GB/s", "180.0 GB/s")
    only(results, "copy.peers[gpu4]")


def below(level: str, cards: int = 3) -> dict[str, str]:
    """The readings of a card that has this bridge in common with each other one."""
    return {f"ancestors__{other}": level for other in range(cards)}


def at(gbs: float, cards: int = 3) -> list[str]:
    return [f"dev{one}.gbs.peer{other} = {gbs}" for one in range(cards) for other in range(cards) if one != other]


def test_a_pair_that_is_slow_among_equals(tmp_path: Path) -> None:
    """All links of it carry enough, and yet the others are faster: both cards are named, and the whole row is kept."""
    host = host_of(*[a100(**below("40"))] * 3)
    results = loads(host, tmp_path, "copy.peers", *NVLINK, "dev2.gbs.peer0 = 200", *at(250))
    fails(
        results["copy.peers[gpu2]"],
        f"copies from gpu2 ({host.address(2)}, {host.uuid(2)}) to gpu0 ({host.address(0)}",
        "over NVLink are slow",
        "200.0 GB/s, alone too",
        "212.5 GB/s: 0.85 of 250.0, the median of 6 pairs over NVLink, NODE",
    )
    assert rates(results["copy.peers[gpu2]"]) == {"copy_peers": 225, "copy_peers_slowest": 200}
    (row,) = (text for name, text in results["copy.peers[gpu2]"].evidence.items() if name.startswith("peers"))
    assert row.splitlines() == ["to gpu0: 200.0 GB/s over NVLink, NODE", "to gpu1: 250.0 GB/s over NVLink, NODE"]
    only(results, "copy.peers[gpu2]")


def test_a_pair_that_is_slow_among_equals_only_beside_others(tmp_path: Path) -> None:
    """Tried again alone, it is as fast as they are."""
    fast = ("dev2.gbs.peer0 = 150", "dev2.gbs_later.peer0 = 250")
    results = loads(THREE, tmp_path, "copy.peers", *NVLINK, *fast, *at(250))
    only(results)
    assert rates(results["copy.peers[gpu2]"])["copy_peers_slowest"] == 150


BRIDGES = [f"dev{one}.nvlink.peer{one ^ 1} = 1" for one in range(4)]  # two pairs of four cards
FOUR = host_of(*[a100(**below("30", 4))] * 4)
JOINED = [f"dev{one}.gbs.peer{one ^ 1} = 250" for one in range(4)]


def test_ways_that_differ_are_not_compared(tmp_path: Path) -> None:
    """NVLink within two pairs of cards, PCI between them."""
    only(loads(FOUR, tmp_path, "copy.peers", *BRIDGES, *JOINED, *at(20, 4)))


def test_a_slow_pair_without_nvlink(tmp_path: Path) -> None:
    """It is held against its like: eight pairs."""
    results = loads(FOUR, tmp_path, "copy.peers", *BRIDGES, *JOINED, "dev3.gbs.peer1 = 10", *at(20, 4))
    expected = "17.0 GB/s: 0.85 of 20.0, the median of 8 pairs directly, PHB"
    fails(results["copy.peers[gpu3]"], "from gpu3", "to gpu1", "directly are slow", "10.0 GB/s, alone too", expected)
    only(results, "copy.peers[gpu3]")


def test_ways_of_another_rank_are_not_compared(tmp_path: Path) -> None:
    """Some pairs of a DGX-1 share two NVLinks, others one: the driver knows which."""
    single = [f"dev{one}.rank.peer{2 - one} = 1" for one in (0, 2)]
    slower = [f"dev{one}.gbs.peer{2 - one} = 100" for one in (0, 2)]
    only(loads(THREE, tmp_path, "copy.peers", *NVLINK, *single, *slower, *at(250)))


def test_ways_that_nobody_knows_are_not_compared(tmp_path: Path) -> None:
    """Without NVLink, and the driver does not tell what lies between the cards."""
    only(loads(THREE, tmp_path, "copy.peers", "dev2.gbs.peer0 = 8", *at(20)))


def test_a_pair_that_hangs_is_named(tmp_path: Path) -> None:
    limits = {"peer_seconds = 45": "peer_seconds = 2"}
    results = loads(TWO, tmp_path, "copy.peers", "dev0.hang = cuMemcpyPeerAsync", limits=limits)
    result = results["scripted.peers[gpu0]"]
    fails(result, "copying from gpu0", f"to gpu1 ({TWO.address(1)}", "did not answer in 2 s")
    assert result.cause == "timeout"
    only(results, "scripted.peers[gpu0]")


def test_cards_that_one_process_may_use_at_a_time(tmp_path: Path) -> None:
    """Then they copy one after the other."""
    alone = host_of(*[a100(compute_mode="3")] * 3)
    only(loads(alone, tmp_path, "copy.peers", *(f"dev{index}.exclusive = 1" for index in range(3))))


def test_a_pair_that_the_driver_refuses(tmp_path: Path) -> None:
    results = loads(TWO, tmp_path, "copy.peers", "dev1.fail = cuCtxEnablePeerAccess:217")
    fails(results["copy.peers[gpu1]"], "copying from gpu1", "to gpu0", "CUDA error 217", "cannot reach each other")
    only(results, "copy.peers[gpu1]")


def test_nvlink_of_an_unknown_model(tmp_path: Path) -> None:
    strange = gpu("NVIDIA Z900", "7fff")
    results = loads(host_of(strange, strange), tmp_path, "copy.peers", *NVLINK)
    warns(results["copy.peers[gpu0]"], "no baseline for copies over NVLink from gpu0")


def test_one_card_has_no_peer(tmp_path: Path) -> None:
    result = loads(ONE, tmp_path, "copy.peers")["copy.peers[gpu0]"]
    assert (result.outcome, result.required) == ("skipped", False)


def test_a_slice(tmp_path: Path) -> None:
    """Its copies are compared and recorded; what they should reach is not known."""
    sliced = host_of(a100(mig="1"), a100())
    results = loads(sliced, tmp_path, "copy.device or copy.peers", "dev0.gbs.device = 200")
    passes(results["copy.device[gpu0]"])
    assert rates(results["copy.device[gpu0]"]) == {"copy_device": 200}
    assert results["copy.peers[gpu1]"].outcome == "skipped"


def test_a_full_card(tmp_path: Path) -> None:
    results = loads(TWO, tmp_path, "copy.device", "dev1.fail = cuMemAlloc_v2:2")
    said = ("CUDA error 2: the GPU's memory is full", "cuMemAlloc_v2: 2 (CUDA_ERROR_OUT_OF_MEMORY)", "nvidia-smi")
    fails(results["copy.device[gpu1]"], f"gpu1 ({TWO.address(1)}, {TWO.uuid(1)})", *said)
    only(results, "copy.device[gpu1]")


def test_an_error_that_sticks_does_not_reach_the_next_check(tmp_path: Path) -> None:
    results = loads(ONE, tmp_path, "copy.device or copy.host", "dev0.fail = cuMemcpyDtoDAsync_v2:719:2")
    fails(results["copy.device[gpu0]"], "CUDA error 719: a kernel failed while it ran", "cuMemcpyDtoDAsync_v2: 719")
    passes(results["copy.host[gpu0]"])
