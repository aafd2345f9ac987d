"""Which GPUs a run is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paddle_bootstrap.harness.devices import devices, why_none
from paddle_bootstrap.host.facts import Driver, Unknown
from tests.fakes.facts import gpu, host


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        (None, [0, 1, 2, 3]),
        ("2,0", [2, 0]),
        (" 1 , 3 ", [1, 3]),
        ("GPU-00000003", [3]),
        ("GPU-0", []),  # as four of them begin
        ("", []),
        ("-1", []),
        ("1,7,2", [1]),
        ("1,1", [1]),
        ("none", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(setting: str | None, meant: list[int]) -> None:
    found = devices(host(4, visible_devices=setting))
    assert [device.index for device in found] == meant
    assert [device.ordinal for device in found] == list(range(len(meant)))
    assert [device.label for device in found] == [f"gpu{index}" for index in meant]


def test_a_gpu_without_a_uuid_is_no_match_for_one() -> None:
    facts = host(gpus=0, visible_devices="GPU-00000000")
    assert devices(replace(facts, gpus=(gpu(0, uuid=Unknown("no answer")),))) == ()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"driver": Driver(Unknown("no file"), Unknown(""), Unknown(""), None)},
            "the NVIDIA kernel module is not loaded",
        ),
        ({"gpus": Unknown("NVML code 9")}, "the driver lists no GPU: NVML code 9"),
        ({"gpus": (gpu(0), gpu(1)), "visible_devices": ""}, "CUDA_VISIBLE_DEVICES='' leaves none of 2 GPUs"),
        ({"gpus": ()}, "the driver is there, but lists no GPU"),
    ],
)
def test_why_there_is_none(more: dict[str, Any], why: str) -> None:
    facts = replace(host(), **more)
    assert devices(facts) == ()
    assert why_none(facts) == why
