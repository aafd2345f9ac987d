"""Computing by the driver alone, on cards that compute wrongly, refuse, or hang."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.harness.cuda_errors import answered
from paddle_bootstrap.harness.devices import Device
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.results.model import CheckResult
from tests.checks.driver import cards, loads
from tests.checks.judging import fails, passes, warns
from tests.fakes.host import FakeHost

ONE, TWO, THREE = cards(1), cards(2), cards(3)
MEMORY = {"FAKE_CUDA_MEMORY": str(8 << 20)}


def judged(host: FakeHost, folder: Path, *faults: str, check: str = "compute.repeatable") -> Mapping[str, CheckResult]:
    return loads(host, folder, check, *faults, **MEMORY)


def only(results: Mapping[str, CheckResult], *bad: str) -> None:
    for name, result in results.items():
        if name not in bad:
            passes(result)


def test_healthy_cards(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, check="compute.")
    only(results)
    assert set(results) == {f"compute.{name}[gpu{index}]" for name in ("launch", "repeatable") for index in range(2)}
    assert results["compute.launch[gpu0]"].measurements[0].unit == "us"


def test_a_slow_start_of_kernels_is_told(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, "dev1.launch_us = 400", check="compute.launch")
    warns(results["compute.launch[gpu1]"], f"on gpu1 ({TWO.address(1)}", "more than 100")
    only(results, "compute.launch[gpu1]")


@pytest.mark.parametrize(("product", "kernel", "run"), [(3, "integers", 3), (29, "floats", 9)])
def test_one_of_twenty_results_is_wrong(product: int, kernel: str, run: int, tmp_path: Path) -> None:
    """The run and the multiprocessor are named: word 4321 is in block 16, the first of eight has it."""
    results = judged(TWO, tmp_path, f"dev1.flip_product = {product}")
    fails(
        results["compute.repeatable[gpu1]"],
        f"gpu1 ({TWO.address(1)}, {TWO.uuid(1)}) computed 2 different results from the same {kernel}",
        f"1 of 20 runs differ: run {run} in 1 blocks on multiprocessors 0",
        "silent data corruption",
        "on multiprocessor 0",
        "out of service",
    )
    only(results, "compute.repeatable[gpu1]")


def test_a_card_that_is_always_wrong_where_the_cpu_looks(tmp_path: Path) -> None:
    results = judged(ONE, tmp_path, "dev0.flip_product = 0", "dev0.flip_at = 0")
    fails(results["compute.repeatable[gpu0]"], "computes integers otherwise than the CPU", "thread 0", "1 of 4 differ")


def test_the_odd_card_out(tmp_path: Path) -> None:
    """Always the same, and wrong in a word that no CPU looked at: the other cards tell."""
    results = judged(THREE, tmp_path, "dev1.flip_product = 0")
    fails(results["compute.repeatable[gpu1]"], "gpu1", "computes integers otherwise than gpu0, gpu2", "equal cards")
    only(results, "compute.repeatable[gpu1]")


def test_of_two_cards_nobody_can_tell_which(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, "dev1.flip_product = 0")
    fails(results["compute.repeatable[gpu0]"], "gpu0", "otherwise than gpu1", "this one, or gpu1")
    fails(results["compute.repeatable[gpu1]"], "gpu1", "otherwise than gpu0", "this one, or gpu0")


def test_a_card_that_fails_is_no_witness(tmp_path: Path) -> None:
    results = judged(THREE, tmp_path, "dev2.flip_product = 0", "dev0.fail = cuLaunchKernel:700:5")
    fails(results["compute.repeatable[gpu0]"], "CUDA error 700: ", "cuLaunchKernel: 700 (CUDA_ERROR_ILLEGAL_ADDRESS)")
    fails(results["compute.repeatable[gpu1]"], "this one, or gpu2")
    fails(results["compute.repeatable[gpu2]"], "this one, or gpu1")


def test_multiprocessors_that_take_no_part(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, "dev0.idle = 2")
    warns(results["compute.repeatable[gpu0]"], "only 6 of 8 multiprocessors of gpu0", "MPS")
    only(results, "compute.repeatable[gpu0]")


def test_kernels_that_the_driver_refuses(tmp_path: Path) -> None:
    """With what its compiler said."""
    results = judged(TWO, tmp_path, "dev1.fail = cuModuleLoadDataEx:222", check="compute.launch")
    said = ("cuModuleLoadDataEx: 222 (CUDA_ERROR_UNSUPPORTED_PTX_VERSION)", "ptxas application ptx input, line 9")
    fails(results["compute.launch[gpu1]"], f"gpu1 ({TWO.address(1)}, {TWO.uuid(1)}): CUDA error 222: ", *said)
    only(results, "compute.launch[gpu1]")


def test_an_error_of_a_kernel_comes_to_light_when_it_is_waited_for(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, "dev0.fail = cuCtxSynchronize:719", check="compute.launch")
    fails(results["compute.launch[gpu0]"], "CUDA error 719: a kernel failed", "cuCtxSynchronize: 719", "xid")
    only(results, "compute.launch[gpu0]")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, "the GPU's memory is full"),
        (46, "held by another process, or its compute mode forbids this one"),
        (209, "there is no machine code for this GPU"),
        (214, "an error that ECC could not correct"),
        (217, "cannot reach each other's memory"),
        (218, "the driver's compiler does not take our kernels"),
        (221, "libnvidia-ptxjitcompiler.so.1, is missing"),
        (222, "the driver's compiler is older than our kernels"),
        (223, "a setting forbids the driver to compile kernels"),
        (700, "reached for memory that it does not have"),
        (702, "it took too long"),
        (710, "a kernel stopped itself"),
        (714, "an error in a kernel's stack"),
        (715, "an instruction that it does not know"),
        (716, "an address that does not fit"),
        (719, "a kernel failed while it ran"),
        (4711, "a code that the driver does not know"),
    ],
)
def test_what_a_code_means(code: int, words: str) -> None:
    error = {"code": code, "name": "a code that the driver does not know", "call": "cuLaunchKernel", "says": ""}
    with pytest.raises(CheckFailed) as failed:
        answered({"error": error}, Device("gpu", 3, "gpu3"))
    said = failed.value
    assert f"gpu3: CUDA error {code}: " in said.summary
    assert words in said.summary
    assert (said.measured or "").startswith(f"cuLaunchKernel: {code} (")
    assert said.expected
    assert said.fix


def test_a_card_that_cuda_has_under_another_number(tmp_path: Path) -> None:
    """CUDA does not see the first card, and counts on: what the second one does is not told of the first."""
    seen = f"{THREE.uuid(1)},{THREE.uuid(2)},{THREE.uuid(0)}"
    results = loads(THREE, tmp_path, "compute.launch", FAKE_CUDA_UUIDS=seen)
    for index, other in ((0, 1), (1, 2), (2, 0)):
        fails(
            results[f"compute.launch[gpu{index}]"],
            f"CUDA has another GPU in the place of gpu{index} ({THREE.address(index)}, {THREE.uuid(index)})",
            f"CUDA's number {index} is {THREE.uuid(other)}",
            "device.gpus_visible",
        )


@pytest.mark.parametrize("kept", [False, True], ids=["no library", "no such call"])
def test_no_driver(kept: bool, tmp_path: Path) -> None:
    """NVML still answers."""
    results = loads(ONE, tmp_path, "compute.launch", driver="libnvidia-ml.so.1" if kept else "")
    words = "undefined symbol" if kept else "libcuda.so.1: the library cannot be opened"
    fails(results["compute.launch[gpu0]"], "gpu0", "the CUDA driver cannot be used", words, "host.driver_loaded")
