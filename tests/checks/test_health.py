"""Healthy hosts of many kinds: no quick check fails there, and nothing is warned of but what is listed."""

from __future__ import annotations

import pytest

from tests.checks.health import Judge, described, findings

NO_LOG = {"kernel.xid_history": "judged instead by what the driver counts", "kernel.noise": "was not judged"}
WARNED: dict[str, dict[str, str]] = {  # host -> id -> words
    "a100-x1-of-a-host": {"link.nvlink[gpu0]": "no other GPU is here"},
    "container-2-of-8": {**NO_LOG, "host.gpus_on_bus": "the docker container was given 2 of 8 GPUs"},
    "vgpu-a40": {"memory.size[gpu0]": "is a virtual GPU"},
    "wsl2-4090": {"kernel.noise": "was not judged"},
}


@pytest.mark.parametrize("host", described())
def test_a_healthy_host_is_found_healthy(host: str, judge_host: Judge) -> None:
    results = judge_host(host).results
    said = {name: results[name].summary for name in findings(results)}
    expected = WARNED.get(host, {})
    assert {name: results[name].outcome for name in said} == dict.fromkeys(expected, "warned"), said
    for name, words in expected.items():
        assert words in said[name]


def test_the_healthy_hosts_are_many() -> None:
    assert len(described()) >= 15
    assert set(WARNED) <= set(described())
