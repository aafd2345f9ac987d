"""The device: the CUDA driver answers, the GPUs are the same everywhere, and a network trains on each of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.host.facts import Unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
CUDA_ERRORS = tomllib.loads((HERE / "cuda_errors.toml").read_text(encoding="utf-8"))
TOLERANCE = tomllib.loads((HERE / "limits.toml").read_text(encoding="utf-8"))["cnn"]["tolerance"]
INSUFFICIENT_DRIVER, NO_DEVICE = 35, 100
CNN_SECONDS = 90  # the first context on many GPUs without persistence mode takes its time


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_cuda_driver(run):
    """The CUDA driver initialises and lists GPUs."""
    told = run("cuda_driver.probe")
    expect(
        told["library"] is None,
        "the CUDA driver library is missing",
        measured=told["library"],
        expected="libcuda.so.1, from the NVIDIA driver",
        likely="no driver is installed, or the container was started without GPUs",
        fix="install the NVIDIA driver; in a container: --gpus all",
    )
    expect_success(told["init"], "cuInit", told["says"])
    cuda = run("paddle_build.build")["cuda"]
    if told["version"] and cuda[:1].isdigit():
        served = told["version"] // 1000
        code = INSUFFICIENT_DRIVER if served < int(cuda.split(".")[0]) else 0
        expect_success(
            code, f"the driver serves CUDA {served}.{told['version'] % 1000 // 10}, the build is CUDA {cuda}"
        )
    expect_success(told["count_code"], "cuDeviceGetCount", told["says"])
    expect_success(0 if told["count"] else NO_DEVICE, "cuDeviceGetCount gave 0 GPUs")


def expect_success(code, where, says=None):
    """Fail with CUDA's own code, what it means on a host, and what to do about it."""
    known = CUDA_ERRORS.get(str(code), {})
    name = known.get("name") or says or "a code that this tool does not know"
    expect(
        code == 0,
        f"CUDA error {code}: {known.get('means', name)}",
        measured=f"{where}: {code} ({name})",
        expected="0 (CUDA_SUCCESS)",
        fix=known.get("fix", "dmesg | grep -i -e xid -e nvrm; look the code up: CUDA driver API, CUresult"),
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_gpus_visible(host, gpus, run, warn):
    """CUDA sees the GPUs that the driver lists."""
    seen = [gpu["uuid"] for gpu in run("cuda_driver.probe")["gpus"]]
    left_out = [gpu for gpu in host.gpus if gpu not in gpus]
    if left_out:
        warn(f"CUDA_VISIBLE_DEVICES={host.visible_devices} leaves out {', '.join(map(told_of, left_out))}")
    sliced = [gpu for gpu in gpus if gpu.mig is True]
    if sliced:
        warn(f"MIG is on: a slice is used of {', '.join(map(told_of, sliced))}")
        expect(seen, "CUDA sees no slice of a GPU", likely="no MIG instance was made", fix="nvidia-smi mig -lgi")
        return
    unread = [gpu.uuid.reason for gpu in gpus if isinstance(gpu.uuid, Unknown)]
    expect(not unread, "the UUID of a GPU could not be read", measured="; ".join(unread), fix="nvidia-smi -L")
    meant = [gpu.uuid for gpu in gpus]
    missing = [told_of(gpu) for gpu in gpus if gpu.uuid not in seen]
    expect(
        not missing,
        f"CUDA does not see {len(missing)} of {len(meant)} GPUs: {', '.join(missing)}",
        measured=f"{len(seen)} seen: {', '.join(map(str, seen)) or 'none'}",
        expected=f"{len(meant)}: {', '.join(meant)}",
        likely="the GPU does not answer CUDA; when none is seen, see device.cuda_driver",
        fix="dmesg | grep -i -e xid -e nvrm",
    )
    extra = [str(uuid) for uuid in seen if uuid not in meant]
    expect(
        not extra,
        f"CUDA sees GPUs that the driver does not list: {', '.join(extra)}",
        measured=f"{len(seen)} seen",
        expected=f"{len(meant)}: {', '.join(meant)}",
        likely="libcuda and libnvidia-ml are of different drivers",
        fix="see host.driver_matches",
    )
    if seen != meant:
        warn(f"CUDA counts the GPUs in another order than the driver: {', '.join(seen)}")


def told_of(gpu):
    return f"GPU {gpu.index} ({gpu.uuid.reason if isinstance(gpu.uuid, Unknown) else gpu.uuid})"


@pytest.mark.level("quick")
def check_cnn(device, run, warn):
    """A small network trains here, with right values."""
    got = run("cnn.train", device=device.index, deadline=CNN_SECONDS)
    expect_usable(got, device)
    expect(got["shape"] == [1, 10], "the output has the wrong shape", measured=got["shape"], expected="[1, 10]")
    elsewhere = {name: place for name, place in got["places"].items() if place != got["device"]}
    expect(
        not elsewhere,
        f"{len(elsewhere)} of {len(got['places'])} tensors are not on {got['device']}",
        measured=", ".join(f"{name} on {place}" for name, place in elsewhere.items()),
        expected=f"all on {got['device']}",
        likely="Paddle fell back to the CPU",
        fix="see device.cuda_driver and install.build",
    )
    if device.kind == "gpu":
        expect(
            got["memory"] >= got["parameter_bytes"],
            "the network does not lie in the GPU's memory",
            measured=f"{got['memory']} bytes are allocated on {got['device']}",
            expected=f"at least the {got['parameter_bytes']} bytes of its parameters",
            likely="Paddle fell back to the CPU",
            fix="see device.cuda_driver",
        )
    expect_right(got)
    if device.kind == "cpu":
        warn("this was the CPU: no GPU was judged")


def expect_usable(got, device):
    expect(
        "unusable" not in got,
        f"Paddle cannot use {device.label}",
        measured=got.get("unusable"),
        fix="see device.cuda_driver",
    )


def expect_right(got):
    """Values like NumPy's, finite, and a network that learns."""
    wrong = {name: value for name, value in got["differences"].items() if not value <= TOLERANCE}
    expect(
        not wrong,
        f"{len(wrong)} of {len(got['differences'])} results differ from the CPU's",
        measured=", ".join(f"{name} by {value:.1e}" for name, value in wrong.items()),
        expected=f"within {TOLERANCE:g} of NumPy in float64, relative to the largest value",
        likely="code for another architecture, or a defective GPU",
        fix="see architecture.machine_code; if that passes, have the GPU tested: dcgmi diag -r 3",
    )
    losses = ", ".join(f"{loss:.4f}" for loss in got["loss"])
    expect(got["finite"], "a value is not finite after training", measured=f"loss {losses}", expected="finite numbers")
    falls = all(later < earlier for earlier, later in zip(got["loss"], got["loss"][1:], strict=False))
    expect(falls, "the loss does not fall", measured=losses, expected="less after every step")
