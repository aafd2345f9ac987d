"""What the CUDA driver itself answers, against a driver library that answers what it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import Unknown
from tests.checks.judging import Judged, fails, judge, passes, seen, warns
from tests.checks.target import FakeTarget
from tests.fakes.host import A100, FakeHost

TWO = FakeHost(gpus=(A100, A100))
CODES = {
    100: ("CUDA_ERROR_NO_DEVICE", "finds no GPU that this process may see", "CUDA_VISIBLE_DEVICES"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "the NVSwitch fabric is not up", "nvidia-fabricmanager"),
    803: ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "are of different driver versions", "reboot"),
    804: ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility package", "cuda-compat"),
    999: ("CUDA_ERROR_UNKNOWN", "the driver is in a broken state", "nvidia-modprobe"),
}


@pytest.fixture
def target(fake_target: FakeTarget) -> FakeTarget:
    fake_target.paddle()
    return fake_target


def driver(target: FakeTarget, host: FakeHost, folder: Path, **environ: str) -> Judged:
    facts, around = seen(host, folder / "host", **environ)
    return judge(target, facts, None, "cuda_driver or gpus_visible", environ=around)


def test_a_driver_that_answers(target: FakeTarget, tmp_path: Path) -> None:
    for result in driver(target, TWO, tmp_path).values():
        passes(result)


@pytest.mark.parametrize("code", CODES)
def test_the_code_of_cuinit_is_named(code: int, target: FakeTarget, tmp_path: Path) -> None:
    """Paddle swallows each of them and trains on the CPU."""
    name, means, fix = CODES[code]
    results = driver(target, TWO, tmp_path, FAKE_CUDA_INIT=str(code))
    fails(results["device.cuda_driver"], f"CUDA error {code}: ", means, f"cuInit: {code} ({name})", fix)
    fails(results["device.gpus_visible"], "CUDA does not see 2 of 2 GPUs", "0 seen: none", "device.cuda_driver")


def test_a_code_that_only_the_driver_knows(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_INIT="1")["device.cuda_driver"]
    fails(result, "CUDA error 1: CUDA_ERROR_INVALID_VALUE", "dmesg")


def test_a_code_that_nobody_knows(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_INIT="4711")["device.cuda_driver"]
    fails(result, "CUDA error 4711: a code that this tool does not know")


def test_a_driver_that_is_too_old(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_VERSION="10020")["device.cuda_driver"]
    fails(result, "CUDA error 35: the driver is too old", "serves CUDA 10.2, the build is CUDA 11.8")


def test_a_driver_without_a_version(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_VERSION="0")["device.cuda_driver"]
    fails(result, "does not tell which CUDA it serves", "cuDriverGetVersion: 0")


def test_a_driver_of_an_older_minor_version_serves(target: FakeTarget, tmp_path: Path) -> None:
    passes(driver(target, TWO, tmp_path, FAKE_CUDA_VERSION="11040")["device.cuda_driver"])


def test_no_gpu_though_the_driver_is_content(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_COUNT="0")["device.cuda_driver"]
    fails(result, "CUDA error 100: ", "cuDeviceGetCount gave 0 GPUs")


def test_no_driver_library(target: FakeTarget, tmp_path: Path) -> None:
    host = FakeHost(gpus=(), driver=None)
    results = driver(target, host, tmp_path)
    fails(results["device.cuda_driver"], "the CUDA driver library is missing", "libcuda.so.1", "host.driver_loaded")
    fails(results["device.gpus_visible"], "no usable GPU: the NVIDIA kernel module is not loaded")


def test_a_library_that_is_no_driver(target: FakeTarget, tmp_path: Path) -> None:
    facts, environ = seen(TWO, tmp_path / "host")
    (tmp_path / "host/lib/libcuda.so.1").unlink()
    (tmp_path / "host/lib/libcuda.so.1").symlink_to("libnvidia-ml.so.1")
    result = judge(target, facts, None, "cuda_driver", environ=environ)["device.cuda_driver"]
    fails(result, "undefined symbol: cu", "host.driver_loaded")


def test_a_subset_is_named(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, CUDA_VISIBLE_DEVICES="1")["device.gpus_visible"]
    warns(result, f"CUDA_VISIBLE_DEVICES=1 leaves out GPU 0 ({TWO.uuid(0)})")


def test_a_subset_by_uuid_is_named(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, CUDA_VISIBLE_DEVICES=TWO.uuid(0))["device.gpus_visible"]
    warns(result, "leaves out GPU 1")


def test_a_subset_of_nothing(target: FakeTarget, tmp_path: Path) -> None:
    results = driver(target, TWO, tmp_path, CUDA_VISIBLE_DEVICES="7")
    fails(results["device.gpus_visible"], "CUDA_VISIBLE_DEVICES='7' leaves none of 2 GPUs")
    fails(results["device.cuda_driver"], "CUDA error 100")


def test_a_gpu_that_cuda_does_not_see(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_COUNT="1")["device.gpus_visible"]
    fails(result, f"CUDA does not see 1 of 2 GPUs: GPU 1 ({TWO.uuid(1)})", "dmesg")


def test_a_gpu_that_only_cuda_sees(target: FakeTarget, tmp_path: Path) -> None:
    stranger = "GPU-00000000-0000-0000-0000-000000000009"
    uuids = ",".join((TWO.uuid(0), TWO.uuid(1), stranger))
    result = driver(target, TWO, tmp_path, FAKE_CUDA_COUNT="3", FAKE_CUDA_UUIDS=uuids)["device.gpus_visible"]
    fails(result, f"the driver does not list: {stranger}", "of different drivers")


def test_a_gpu_without_a_uuid(target: FakeTarget, tmp_path: Path) -> None:
    result = driver(target, TWO, tmp_path, FAKE_CUDA_COUNT="3")["device.gpus_visible"]
    fails(result, "the driver does not list: one without a UUID")


def test_another_order_is_named(target: FakeTarget, tmp_path: Path) -> None:
    uuids = f"{TWO.uuid(1)},{TWO.uuid(0)}"
    warns(driver(target, TWO, tmp_path, FAKE_CUDA_UUIDS=uuids)["device.gpus_visible"], "in another order")


def test_a_slice_is_named(target: FakeTarget, tmp_path: Path) -> None:
    """CUDA shows one slice of a GPU, under a UUID of its own."""
    sliced = FakeHost(gpus=(replace(A100, faults={"mig": "1"}),))
    environ = {"FAKE_CUDA_UUIDS": "GPU-00000000-0000-0000-0000-00000000000a"}
    warns(driver(target, sliced, tmp_path, **environ)["device.gpus_visible"], "MIG is on", "GPU 0 (GPU-")


@pytest.mark.parametrize("named", ["MIG-5c9bb3a1-0000-0000-0000-000000000001", f"MIG-{TWO.uuid(1)}/1/0"])
def test_a_slice_that_cuda_visible_devices_names(named: str, target: FakeTarget, tmp_path: Path) -> None:
    """New drivers give a slice a UUID of its own, older ones say of which GPU it is: here the second, which is sliced."""
    sliced = FakeHost(gpus=(A100, replace(A100, faults={"mig": "1"})))
    facts, environ = seen(sliced, tmp_path / "host", CUDA_VISIBLE_DEVICES=named)
    one_slice = {**environ, "FAKE_CUDA_COUNT": "1", "CUDA_VISIBLE_DEVICES": "0"}  # the fake driver knows no slices
    result = judge(target, facts, None, "gpus_visible", environ=one_slice)["device.gpus_visible"]
    warns(result, f"CUDA_VISIBLE_DEVICES={named} leaves out GPU 0", "MIG is on: a slice is used of GPU 1")


def test_a_gpu_that_was_never_sliced_though_mig_is_on(target: FakeTarget, tmp_path: Path) -> None:
    sliced = FakeHost(gpus=(replace(A100, faults={"mig": "1"}),))
    result = driver(target, sliced, tmp_path, FAKE_CUDA_COUNT="0")["device.gpus_visible"]
    fails(result, "CUDA sees no slice of a GPU", "nvidia-smi mig -lgi")


def test_a_uuid_that_could_not_be_read(target: FakeTarget, tmp_path: Path) -> None:
    facts, environ = seen(TWO, tmp_path / "host")
    assert isinstance(facts.gpus, tuple)
    gpus = (facts.gpus[0], replace(facts.gpus[1], uuid=Unknown("NVML code 15")))
    result = judge(target, replace(facts, gpus=gpus), None, "gpus_visible", environ=environ)["device.gpus_visible"]
    fails(result, "the UUID of a GPU could not be read", "NVML code 15")
