"""Every check of the host on hosts that it must refuse, and on one that it must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import DeviceNode, HostFacts, KernelLine, Late, Unknown
from paddle_bootstrap.lock.model import Build
from tests.checks.alone import alone
from tests.checks.judging import Judged, fails, passes, seen, warns
from tests.fakes.host import A100, H100, NO_GPU, FakeHost

ABSENT = "No such file or directory"
UNREAD = Unknown("it was not to be read")
Change = Callable[[HostFacts], HostFacts]


def host_checks(facts: HostFacts, build: Build) -> Judged:
    return alone(facts, build, "host", "architecture")


def driver(**values: Any) -> Change:
    return lambda facts: replace(facts, driver=replace(facts.driver, **values))


def host(**values: Any) -> Change:
    return lambda facts: replace(facts, **values)


def gpu(index: int, **values: Any) -> Change:
    def change(facts: HostFacts) -> HostFacts:
        assert isinstance(facts.gpus, tuple)
        gpus = [replace(gpu, **values) if gpu.index == index else gpu for gpu in facts.gpus]
        return replace(facts, gpus=tuple(gpus))

    return change


def first_gpu_only(facts: HostFacts) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    return replace(facts, gpus=facts.gpus[:1])


def nodes(**problems: str | None) -> Change:
    return host(device_nodes=tuple(DeviceNode(f"/dev/{name.replace('_', '-')}", why) for name, why in problems.items()))


def room(role: str, **values: Any) -> Change:
    def change(facts: HostFacts) -> HostFacts:
        every = [replace(item, **values) if item.role == role else item for item in facts.filesystems]
        return replace(facts, filesystems=tuple(every))

    return change


def both(*changes: Change) -> Change:
    def change(facts: HostFacts) -> HostFacts:
        for each in changes:
            facts = each(facts)
        return facts

    return change


NO_NODES = nodes(nvidiactl=ABSENT, nvidia_uvm=ABSENT)
TWO_NODES = {"nvidiactl": None, "nvidia_uvm": None, "nvidia0": None, "nvidia1": None}
NOT_ASKED = driver(library=Unknown("the distribution called pynvml shadows nvidia-ml-py's module"))
FELL_OFF = host(kernel_log=(KernelLine(9.0, "NVRM: Xid (PCI:0000:11:00): 79, GPU has fallen off the bus."),))
UNDER_WSL = both(
    host(wsl=True, pci_gpus=(), device_nodes=(DeviceNode("/dev/nvidiactl", ABSENT),)),
    driver(kernel_module=Unknown("not loaded")),
)

NO_UVM = nodes(**{**TWO_NODES, "nvidia_uvm": ABSENT})
BAD = [
    ("device_nodes", both(NO_UVM, host(container="docker")), ["1 device nodes cannot be used", "/dev/nvidia-uvm"]),
    ("driver_loaded", driver(kernel_module=Unknown("not loaded")), ["no usable kernel module", "not loaded"]),
    ("driver_loaded", driver(kernel_module=Unknown("not loaded")), ["modprobe nvidia", "dkms", "secure boot"]),
    ("driver_loaded", both(UNDER_WSL, driver(library=UNREAD)), ["the NVIDIA driver is missing"]),
    ("driver_loaded", driver(library=Late("no answer in 8 s")), ["the NVIDIA driver hangs", "no answer in 8 s", "119"]),
    ("driver_loaded", driver(library=Unknown("libnvidia-ml.so.1: none")), ["no usable library", "libnvidia-ml.so.1"]),
    ("driver_loaded", NO_NODES, ["no usable device nodes", "there is no /dev/nvidia*"]),
    ("driver_loaded", both(NOT_ASKED, host(pynvml_problem="shadowed"), NO_NODES), ["no usable device nodes"]),
    ("driver_matches", driver(library="550.54.14"), ["different versions", "535.104.05", "550.54.14", "reboot"]),
    ("driver_matches", driver(nvml_code=18, library=UNREAD), ["different versions", "unknown (it was not"]),
    ("driver_matches", driver(library=UNREAD), ["no two versions", "of the library", "host.driver_loaded"]),
    ("driver_new_enough", driver(kernel_module="440.33.01"), ["440.33.01 is too old for CUDA 11.8", "450.80.02"]),
    ("driver_new_enough", driver(kernel_module="440.33.01", cuda_version=(10, 2)), ["serves CUDA 10.2", "plan --all"]),
    ("driver_new_enough", driver(cuda_version=(10, 2)), ["serves CUDA 10.2; this build needs 11.8", "ldconfig"]),
    ("driver_new_enough", driver(kernel_module=UNREAD), ["version is not known", "host.driver_loaded"]),
    ("gpus_on_bus", host(pci_gpus=()), ["no NVIDIA GPU on the PCI bus", "--device cpu"]),
    ("gpus_on_bus", host(pci_gpus=UNREAD), ["the PCI bus could not be read", UNREAD.reason]),
    ("gpus_on_bus", host(gpus=UNREAD), ["could not be read", "0000:10:00.0", "host.driver_loaded"]),
    ("gpus_on_bus", gpu(1, pci_address=UNREAD), ["the PCI address of GPU 1 could not be read"]),
    ("gpus_on_bus", first_gpu_only, ["1 of 2 GPUs", "0000:11:00.0", "fallen off the bus", "dmesg"]),
    ("gpus_on_bus", both(first_gpu_only, FELL_OFF), ["Xid 79 on 0000:11:00.0", "no longer answers on the PCI bus"]),
    ("gpus_on_bus", first_gpu_only, ["1 listed: 0000:10:00.0 (GPU-"]),
    ("gpus_on_bus", both(first_gpu_only, host(container="docker")), ["1 of 2 GPUs", "0000:11:00.0"]),
    ("gpus_on_bus", both(first_gpu_only, host(visible_devices="0,1")), ["1 of 2 GPUs", "0000:11:00.0"]),
    ("gpus_on_bus", host(pci_gpus=("0000:10:00.0",)), ["the PCI bus does not show", "0000:11:00.0"]),
    ("device_nodes", NO_NODES, ["there is no /dev/nvidia*"]),
    ("device_nodes", nodes(**{**TWO_NODES, "nvidia1": "mode c---------"}), ["1 device nodes", "/dev/nvidia1: mode"]),
    ("device_nodes", nodes(**{**TWO_NODES, "nvidiactl": ABSENT}), ["1 device nodes", f"/dev/nvidiactl: {ABSENT}"]),
    ("device_nodes", nodes(nvidiactl=None, nvidia_uvm=None, nvidia0=None), ["1 device nodes for 2 GPUs"]),
    ("device_nodes", nodes(nvidiactl=None, nvidia_uvm=ABSENT), ["0 device nodes for 2 GPUs", "nvidia-modprobe"]),
    ("nvml_bindings", host(pynvml_problem="pynvml shadows it"), ["cannot be read reliably", "pynvml shadows it"]),
    ("disk", room("target", free_bytes=10**8), ["0.10 GB are free", "1.0 GB", "df -h"]),
    ("disk", room("target", free_bytes=UNREAD), ["the free space of", UNREAD.reason, "df -h"]),
    ("shared_memory", room("shm", total_bytes=2**26), ["holds 0.07 GB", "SIGBUS", "--shm-size", "/etc/fstab"]),
    ("shared_memory", both(room("shm", total_bytes=2**26), host(container="docker")), ["docker's default"]),
    ("shared_memory", room("shm", total_bytes=UNREAD), ["the size of", UNREAD.reason, "mount -t tmpfs"]),
    ("cpu", host(cpu_flags=("fpu", "sse")), ["the processor lacks avx", "Fake CPU", "SIGILL"]),
    ("cpu", host(cpu_flags=UNREAD), ["the processor's flags could not be read"]),
    ("glibc", host(glibc="2.12"), ["glibc 2.12 is too old for paddlepaddle-gpu 2.6.2", "2.17", "Fake Linux 1"]),
    ("glibc", host(glibcxx="3.4.9"), ["GLIBCXX 3.4.9 is too old", "3.4.22"]),
    ("glibc", host(glibc=Unknown("calls itself 'musl'")), ["the version of glibc could not be read", "musl"]),
    ("glibc", host(glibcxx=UNREAD), ["the version of GLIBCXX could not be read", "libstdc++6"]),
]


def test_a_healthy_host_passes_every_check(healthy: HostFacts, gpu_build: Build) -> None:
    results = host_checks(healthy, gpu_build)
    assert {name for name in results if name.startswith("host.")} == {f"host.{check}" for check, _, _ in BAD}
    for result in results.values():
        passes(result)


@pytest.mark.parametrize(("check", "change", "words"), BAD, ids=[f"{check}: {words[0]}" for check, _, words in BAD])
def test_a_bad_host_fails(check: str, change: Change, words: list[str], healthy: HostFacts, gpu_build: Build) -> None:
    fails(host_checks(change(healthy), gpu_build)[f"host.{check}"], *words)


def test_a_host_without_a_driver(tmp_path: Path, gpu_build: Build) -> None:
    """Everything that needs a GPU fails, and the ways on are named."""
    results = host_checks(seen(NO_GPU, tmp_path)[0], gpu_build)
    fails(results["host.driver_loaded"], "the NVIDIA driver is missing", "up --device cpu", "paddle-bootstrap install")
    failed = {name for name, result in results.items() if result.outcome == "failed"}
    judged = {"driver_loaded", "driver_matches", "driver_new_enough", "gpus_on_bus", "device_nodes"}
    assert failed == {"architecture.build", *(f"host.{name}" for name in judged)}


def test_a_driver_whose_library_was_updated_under_it(tmp_path: Path, gpu_build: Build) -> None:
    facts, _ = seen(FakeHost(library="550.54.14").with_system(init="!18"), tmp_path)
    results = host_checks(facts, gpu_build)
    fails(results["host.driver_matches"], "kernel module 535.104.05, library 550.54.14")
    passes(results["host.driver_loaded"])


def test_a_gpu_that_fell_off_the_bus(tmp_path: Path, gpu_build: Build) -> None:
    facts, _ = seen(FakeHost(gpus=(A100, A100), lost=(1,)), tmp_path)
    fails(host_checks(facts, gpu_build)["host.gpus_on_bus"], "1 of 2 GPUs", "0000:11:00.0")


def test_a_container_that_was_given_one_gpu(healthy: HostFacts, gpu_build: Build) -> None:
    change = both(first_gpu_only, host(container="docker"), nodes(nvidiactl=None, nvidia_uvm=None, nvidia0=None))
    warns(
        host_checks(change(healthy), gpu_build)["host.gpus_on_bus"], "the docker container was given 1 of 2", "0000:11"
    )


def test_a_scheduler_that_lets_one_gpu_through(healthy: HostFacts, gpu_build: Build) -> None:
    """The nodes of all GPUs are there; the control group forbids all but one, which CUDA_VISIBLE_DEVICES names."""
    change = both(first_gpu_only, host(visible_devices="0"))
    warns(host_checks(change(healthy), gpu_build)["host.gpus_on_bus"], "CUDA_VISIBLE_DEVICES=0", "not 0000:11:00.0")


def test_a_driver_that_is_new_enough_but_compiles_no_ptx(healthy: HostFacts, gpu_build: Build) -> None:
    results = host_checks(driver(kernel_module="470.57.02", library="470.57.02")(healthy), gpu_build)
    warns(results["host.driver_new_enough"], "PTX cannot be compiled", "520.61.05")


def test_under_wsl_the_driver_is_that_of_windows(healthy: HostFacts, gpu_build: Build) -> None:
    results = host_checks(UNDER_WSL(healthy), gpu_build)
    untested = {"driver_matches", "gpus_on_bus", "device_nodes"}
    for name, result in results.items():
        if name.removeprefix("host.") in untested:
            assert (result.outcome, result.required) == ("skipped", False)
            assert "that of Windows" in result.summary
        else:
            passes(result)


def test_under_wsl_an_old_driver_of_windows_is_too_old(healthy: HostFacts, gpu_build: Build) -> None:
    old = both(UNDER_WSL, driver(library="440.33.01"))
    fails(host_checks(old(healthy), gpu_build)["host.driver_new_enough"], "440.33.01 is too old")


def test_a_node_that_cuda_makes_itself(healthy: HostFacts, gpu_build: Build) -> None:
    results = host_checks(nodes(**{**TWO_NODES, "nvidia_uvm": ABSENT})(healthy), gpu_build)
    warns(results["host.device_nodes"], "/dev/nvidia-uvm is not there yet")


def test_little_shared_memory_on_a_host_that_only_rehearses(healthy: HostFacts, cpu_build: Build) -> None:
    results = host_checks(both(room("shm", total_bytes=2**26), host(gpus=()))(healthy), cpu_build)
    warns(results["host.shared_memory"], "too little to train")


def test_a_gpu_that_the_build_has_no_code_for(tmp_path: Path, gpu_build: Build) -> None:
    """Said by name before anything is downloaded."""
    result = host_checks(seen(FakeHost(gpus=(A100, H100)), tmp_path)[0], gpu_build)["architecture.build"]
    fails(result, "GPU 1, NVIDIA H100 80GB HBM3: sm_90", "sm_61, 70, 75, 80, 86", "--lock FILE")
    assert result.summary == "no machine code for sm_90 in paddlepaddle-gpu 2.6.2"


@pytest.mark.parametrize(
    ("capability", "runs"), [((6, 0), False), ((6, 1), True), ((8, 9), True), ((9, 0), False), ((12, 0), False)]
)
def test_code_runs_within_its_major_capability(
    capability: tuple[int, int], runs: bool, healthy: HostFacts, gpu_build: Build
) -> None:
    result = host_checks(gpu(1, compute_capability=capability)(healthy), gpu_build)["architecture.build"]
    assert (result.outcome == "passed") == runs, result.summary


@pytest.mark.parametrize(("module", "outcome"), [("535.104.05", "passed"), ("470.57.02", "failed")])
def test_ptx_counts_only_if_the_driver_compiles_it(
    module: str, outcome: str, healthy: HostFacts, gpu_build: Build
) -> None:
    change = both(gpu(0, compute_capability=(9, 0)), driver(kernel_module=module))
    result = host_checks(change(healthy), replace(gpu_build, ptx=(80,)))["architecture.build"]
    assert result.outcome == outcome
    assert outcome == "passed" or "cannot be compiled by this driver" in str(result.expected)


def test_a_capability_that_could_not_be_read(healthy: HostFacts, gpu_build: Build) -> None:
    result = host_checks(gpu(0, compute_capability=UNREAD)(healthy), gpu_build)["architecture.build"]
    fails(result, "the compute capability of GPU 0 could not be read", UNREAD.reason)


def test_a_build_whose_machine_code_nobody_has_told(healthy: HostFacts, gpu_build: Build) -> None:
    """As of most builds of 3.x: it is no reason to refuse the host; the bytes decide once they are here."""
    untold = replace(gpu_build, sass=())
    warns(host_checks(healthy, untold)["architecture.build"], "its bytes decide once they are here")
    unread = gpu(0, compute_capability=UNREAD)(healthy)
    assert host_checks(unread, untold)["architecture.build"].outcome == "failed"


def test_no_gpu_is_a_failure_and_no_skip(healthy: HostFacts, gpu_build: Build) -> None:
    result = host_checks(host(visible_devices="")(healthy), gpu_build)["architecture.build"]
    fails(result, "no usable GPU: CUDA_VISIBLE_DEVICES='' leaves none of 2 GPUs")
    assert result.cause == "requirement"
