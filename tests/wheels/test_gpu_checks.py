"""The checks on the real GPU build, on hosts that are made for it: fake drivers, real wheels, a real CUDA runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.checks.workload import load
from tests.fakes.host import A100, H100, NO_GPU, FakeHost

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".test-cache"
BUILT_FOR = {61, 70, 75, 80, 86}
CODES = {
    "100": "the driver finds no GPU that this process may see",
    "802": "the NVSwitch fabric is not up",
    "803": "libcuda.so.1 and the kernel module are of different driver versions",
    "804": "a forward compatibility package (cuda-compat) is loaded",
    "999": "the driver is in a broken state",
}
Checks = dict[str, dict[str, Any]]

pytestmark = pytest.mark.wheels


@pytest.fixture(scope="session")
def gpu_target(test_store: Path) -> Path:
    """The real GPU build with NVIDIA's wheels, installed by the tool itself. Not to be changed by a test."""
    given = os.environ.get("PADDLE_BOOTSTRAP_TEST_GPU_TARGET")
    target = Path(given) if given else CACHE / "gpu-target"
    if not given:
        command = ["install", "--lock", "gpu-2_6_2-cu118", "--cuda-runtime", "wheels", "--env", str(target)]
        ran([sys.executable, "-m", "paddle_bootstrap", *command, "--store", str(test_store)])
    return target


def ran(command: list[str], environ: Mapping[str, str] | None = None, code: int = 0) -> str:
    """What ``command`` wrote; it must end with ``code``."""
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == code, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def rejected(target: Path, host: FakeHost, folder: Path, *options: str, **environ: str) -> tuple[Checks, str]:
    """The results by id and the report of a verification that must end with "rejected"."""
    around = {**os.environ, **host.write(folder), **environ}
    results = folder / "results.json"
    command = ["verify", "--env", str(target), "--results", str(results), *options]
    report = ran([sys.executable, "-m", "paddle_bootstrap", *command], around, code=1)
    return {check["id"]: check for check in json.loads(results.read_text())["checks"]}, report


def test_the_machine_code_of_the_real_libraries(gpu_target: Path) -> None:
    fatbin = load("fatbin")
    folder = next(gpu_target.glob("lib/python3*/site-packages/paddle"))
    for name in ("libs/libphi.so", "base/libpaddle.so"):
        images = fatbin.read(str(folder / name))
        most = max(images["sass"].values())
        assert {int(number) for number, count in images["sass"].items() if count > most / 2} == BUILT_FOR, images
        assert sum(images["ptx"].values()) < most / 50, images


def test_an_h100_is_refused_by_name_and_an_a100_is_not(gpu_target: Path, tmp_path: Path) -> None:
    checks, report = rejected(gpu_target, FakeHost(gpus=(A100, H100)), tmp_path, "-k", "architecture")
    assert checks["architecture.build"]["summary"] == "no machine code for sm_90 in paddlepaddle-gpu 2.6.2"
    told = checks["architecture.machine_code[gpu1]"]
    assert told["outcome"] == "failed"
    assert told["summary"].startswith("no machine code for sm_90 in paddlepaddle-gpu 2.6.2 (lib")
    assert "H100" in told["expected"]
    assert checks["architecture.machine_code[gpu0]"]["outcome"] == "passed"
    assert "no machine code for sm_90 in paddlepaddle-gpu 2.6.2" in " ".join(report.split())


def test_an_a100_and_its_host_pass_everything_that_needs_no_real_gpu(gpu_target: Path, tmp_path: Path) -> None:
    """What is left to fail is the network: nothing computes here."""
    checks, _ = rejected(gpu_target, FakeHost(gpus=(A100,)), tmp_path)
    bad = {name: check["summary"] for name, check in checks.items() if check["outcome"] not in ("passed", "warned")}
    failed = {name: summary for name, summary in bad.items() if checks[name]["required"]}
    assert set(failed) == {"device.cnn[gpu0]"}, failed


@pytest.mark.parametrize("code", CODES)
def test_the_code_of_the_driver_is_named(code: str, gpu_target: Path, tmp_path: Path) -> None:
    host = replace(FakeHost(), cuda_init=int(code))
    checks, report = rejected(gpu_target, host, tmp_path, "-k", "device")
    assert checks["device.cuda_driver"]["summary"].startswith(f"CUDA error {code}: {CODES[code]}")
    assert f"CUDA error {code}: " in report
    assert checks["device.cnn[gpu0]"]["outcome"] == "failed"


def test_a_driver_that_is_too_old(gpu_target: Path, tmp_path: Path) -> None:
    """The code is the CUDA runtime's: the driver itself is content."""
    checks, _ = rejected(gpu_target, replace(FakeHost(), cuda=10020), tmp_path, "-k", "device")
    told = checks["device.cuda_driver"]
    assert told["summary"] == "CUDA error 35: the driver is too old for the CUDA of this build"
    assert "serves CUDA 10.2, the build is CUDA 11.8" in told["measured"]
    assert checks["device.cnn[gpu0]"]["outcome"] == "failed"


def test_no_driver_is_rejected_where_paddles_own_test_is_content(gpu_target: Path, tmp_path: Path) -> None:
    python = str(gpu_target / "bin" / "python")
    environ = {**os.environ, **NO_GPU.write(tmp_path)}
    said = ran([python, "-I", "-c", "import paddle; paddle.utils.run_check()"], environ)
    assert "PaddlePaddle is installed successfully!" in said
    checks, report = rejected(gpu_target, NO_GPU, tmp_path / "again")
    assert checks["host.driver_loaded"]["summary"] == "the NVIDIA driver is missing"
    assert checks["device.cuda_driver"]["summary"] == "the CUDA driver library is missing"
    assert checks["device.cnn[gpu]"]["outcome"] == "failed"
    assert "the NVIDIA driver is missing" in report
    for name in ("install.build", "libraries.origin", "libraries.load", "libraries.cudnn"):
        assert checks[name]["outcome"] == "passed", checks[name]
