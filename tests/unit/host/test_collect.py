"""All facts in one reading."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import DeviceNode, HostFacts, Unknown, to_json
from tests.fakes.host import A100, H100, NO_GPU, FakeHost

Read = Callable[..., HostFacts]


def test_every_fact_of_a_fake_host(read: Read, tmp_path: Path) -> None:
    facts = read(FakeHost(gpus=(A100, H100)), paths={"target": tmp_path / "env", "store": tmp_path})
    assert facts.hostname == "fake-host"
    assert facts.os == "Fake Linux 1"
    assert facts.glibc == "2.35"
    assert facts.glibcxx == "3.4.30"
    assert facts.cpu == "Fake CPU"
    assert facts.cpu_flags == ("avx", "avx2", "fpu", "sse")
    assert facts.memory_bytes == 263842560 * 1024
    assert facts.container is None
    assert facts.driver.kernel_module == facts.driver.library == "535.104.05"
    assert isinstance(facts.gpus, tuple)
    assert facts.pci_gpus == tuple(gpu.pci_address for gpu in facts.gpus) == ("0000:10:00.0", "0000:11:00.0")
    names = ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1")
    assert facts.device_nodes == tuple(DeviceNode(f"/dev/{name}", None) for name in names)
    assert [item.role for item in facts.filesystems] == ["target", "store", "shm"]
    shm = facts.filesystem("shm")
    assert shm is not None
    assert shm.path == str(tmp_path / "host/rootfs/dev/shm")
    assert isinstance(shm.free_bytes, int)
    assert facts.filesystem("temporary") is None


def test_a_host_without_a_driver(read: Read) -> None:
    facts = read(NO_GPU)
    assert isinstance(facts.driver.kernel_module, Unknown)
    assert isinstance(facts.gpus, Unknown)
    assert facts.pci_gpus == ()
    assert [node.problem for node in facts.device_nodes] == ["No such file or directory"] * 2


def test_a_gpu_that_fell_off(read: Read) -> None:
    facts = read(FakeHost(gpus=(A100, A100), lost=(0,)))
    assert isinstance(facts.gpus, tuple)
    assert [gpu.pci_address for gpu in facts.gpus] == ["0000:11:00.0"]
    assert facts.pci_gpus == ("0000:10:00.0", "0000:11:00.0")


def test_visible_devices_are_those_of_the_run(read: Read) -> None:
    facts = read(FakeHost(gpus=(A100, A100)), CUDA_VISIBLE_DEVICES="1")
    assert facts.visible_devices == "1"
    assert isinstance(facts.gpus, tuple)
    assert len(facts.gpus) == 2  # NVML does not mind the variable


def test_an_empty_root(tmp_path: Path) -> None:
    """Nothing there: every value is unknown with its reason, and nothing of this very host takes its place."""
    facts = collect(root=tmp_path, environ={})
    told: list[object] = [facts.os, facts.glibc, facts.glibcxx, facts.cpu, facts.cpu_flags, facts.memory_bytes]
    told += (facts.container, facts.driver.kernel_module, facts.pci_gpus, facts.filesystems[0].free_bytes)
    assert all(isinstance(value, Unknown) and str(tmp_path) in value.reason for value in told)


def test_this_very_host_is_read_quickly() -> None:
    began = time.monotonic()
    facts = collect()
    assert time.monotonic() - began < 5  # 0.1 s on two cores; a deadline that is waited for would be 60
    assert isinstance(facts.memory_bytes, int)
    assert json.loads(json.dumps(to_json(facts)))["kernel"] == facts.kernel
