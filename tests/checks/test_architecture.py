"""Machine code by the bytes of what is installed: GPUs that the libraries serve, and GPUs that they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts, Unknown
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks.device_code import kernels, library
from tests.checks.judging import fails, judge, passes
from tests.checks.target import FakeTarget

SHIPPED = [61, 70, 75, 80, 86]


def on_gpu(facts: HostFacts, capability: Any, cuda: tuple[int, int] = (12, 2)) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    gpu = replace(facts.gpus[0], name="Demo GPU", compute_capability=capability)
    return replace(facts, gpus=(gpu,), driver=replace(facts.driver, cuda_version=cuda))


def machine_code(target: FakeTarget, facts: HostFacts, build: Build | None = None) -> CheckResult:
    return judge(target, facts, build, "architecture.machine_code")["architecture.machine_code[gpu0]"]


@pytest.mark.parametrize(
    ("capability", "sass", "runs"),
    [
        ((8, 0), SHIPPED, True),
        ((8, 9), SHIPPED, True),
        ((9, 0), SHIPPED, False),
        ((6, 0), SHIPPED, False),
        ((8, 0), [86], False),
        ((9, 0), [90], True),
        ((12, 0), [80, 90, 120], True),
        ((10, 3), [100], True),
    ],
)
def test_code_runs_within_its_major_capability(
    capability: tuple[int, int], sass: list[int], runs: bool, fake_target: FakeTarget, healthy: HostFacts
) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels(sass))
    result = machine_code(fake_target, on_gpu(healthy, capability))
    if runs:
        passes(result)
    else:
        wanted = f"no machine code for sm_{capability[0]}{capability[1]} in paddlepaddle-gpu 2.6.2 (libphi.so has sm_"
        fails(result, wanted, f"SASS {sass[-1]}: 10", "Demo GPU")


def test_a_few_stray_images_do_not_make_a_gpu_usable(fake_target: FakeTarget, healthy: HostFacts) -> None:
    """As in 2.6.2, whose libphi has one image for sm_90 and hundreds for each of five others."""
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels(SHIPPED, stray=[35, 90]))
    fails(machine_code(fake_target, on_gpu(healthy, (9, 0))), "no machine code for sm_90", "SASS 86: 10, SASS 90: 1")


def test_every_library_with_kernels_is_judged(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi_core.so", kernels([80, 90]))
    fake_target.put("paddle/libs/libphi_gpu.so", kernels([80, 90]))
    fake_target.put("paddle/libs/libflashattn.so", kernels([80]))
    fake_target.put("paddle/libs/libphi.so", library(None))
    passes(machine_code(fake_target, on_gpu(healthy, (9, 0))))
    fake_target.put("paddle/base/libpaddle.so", kernels([80]))
    fails(machine_code(fake_target, on_gpu(healthy, (9, 0))), "libpaddle.so has sm_80", "base/libpaddle.so: SASS 80")


def test_a_layout_that_is_not_known_is_judged_by_its_largest_library(
    fake_target: FakeTarget, healthy: HostFacts
) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libnew.so", kernels([80], each=50))
    fake_target.put("paddle/libs/libsmall.so", kernels([90]))
    fails(machine_code(fake_target, on_gpu(healthy, (9, 0))), "libnew.so has sm_80")
    passes(machine_code(fake_target, on_gpu(healthy, (8, 0))))


def test_linked_libraries_are_not_paddles(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels([80]))
    other = fake_target.put("nvidia/cudnn/lib/libcudnn.so.8", kernels([90], each=500))
    (fake_target.packages / "paddle/libs/libcudnn.so").symlink_to(other)
    passes(machine_code(fake_target, on_gpu(healthy, (8, 0))))


@pytest.mark.parametrize(("cuda", "runs"), [((11, 8), True), ((12, 2), True), ((11, 4), False)])
def test_ptx_counts_only_if_the_driver_compiles_it(
    cuda: tuple[int, int], runs: bool, fake_target: FakeTarget, healthy: HostFacts
) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels([80], [80]))
    result = machine_code(fake_target, on_gpu(healthy, (9, 0), cuda))
    if runs:
        passes(result)
    else:
        fails(result, "no machine code for sm_90", "its PTX 80 cannot be compiled by this driver")


def test_ptx_for_a_later_gpu_does_not_help_an_older_one(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels([90], [90]))
    fails(machine_code(fake_target, on_gpu(healthy, (8, 0))), "no machine code for sm_80")


def test_a_cpu_build(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle("3.3.1", name="paddlepaddle", cuda="False")
    fake_target.put("paddle/base/libpaddle.so", library(None))
    fails(machine_code(fake_target, healthy), "this is a CPU build", "no .nv_fatbin section", "install --device gpu")


def test_no_paddle(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fails(machine_code(fake_target, healthy), "no Paddle is installed here", "paddle-bootstrap install --env DIR")


def test_a_library_without_an_image(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", library(b"\0" * 4096))
    fails(machine_code(fake_target, healthy), "libphi.so has no machine code", "no image")


def test_a_library_that_was_cut_short(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels(SHIPPED)[:-200])
    result = machine_code(fake_target, healthy)
    fails(result, "paddle/libs/libphi.so is not a whole ELF file", "install.files")
    assert result.cause == "raised"


def test_a_capability_that_could_not_be_read(fake_target: FakeTarget, healthy: HostFacts) -> None:
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels(SHIPPED))
    facts = on_gpu(healthy, Unknown("NVML code 999"))
    fails(machine_code(fake_target, facts), "the compute capability of GPU 0 could not be read", "NVML code 999")


def test_two_gpus_are_two_items(fake_target: FakeTarget, healthy: HostFacts, gpu_build: Build) -> None:
    """One may pass while the other fails."""
    fake_target.paddle()
    fake_target.put("paddle/libs/libphi.so", kernels(SHIPPED))
    assert isinstance(healthy.gpus, tuple)
    newer = replace(healthy.gpus[1], compute_capability=(9, 0))
    results = judge(fake_target, replace(healthy, gpus=(healthy.gpus[0], newer)), gpu_build, "machine_code")
    passes(results["architecture.machine_code[gpu0]"])
    fails(results["architecture.machine_code[gpu1]"], "no machine code for sm_90")
    assert results["architecture.machine_code[gpu1]"].device == "gpu1"
