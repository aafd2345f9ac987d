"""The device: the CUDA driver answers, the GPUs are the same everywhere, and a network trains on each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.toml import shipped

HERE = Path(__file__).parent
CUDA_ERRORS = shipped(HERE / "cuda_errors.toml")
TOLERANCE = shipped(HERE / "limits.toml")["cnn"]["tolerance"]
INSUFFICIENT_DRIVER, NO_DEVICE = 35, 100
DEFECT = "see architecture.machine_code; if that passes, have the GPU tested: dcgmi diag -r 3"
XID = "dmesg | grep -i -e xid -e nvrm"
FELL_BACK = "Paddle fell back to the CPU"
CNN_SECONDS = 90  # the first context on many GPUs without persistence mode takes its time


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_cuda_driver(run):
    """The CUDA driver initialises and lists GPUs.

    Fix: see host.driver_loaded; dmesg | grep -i -e xid -e nvrm
    """
    told = run("cuda_driver.probe")
    expect(
        told["library"] is None,
        "the CUDA driver library is missing",
        measured=told["library"],
        expected="libcuda.so.1, from the NVIDIA driver",
        likely="no driver is installed, or the container was started without GPUs",
        fix="see host.driver_loaded; in a container: --gpus all, and NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    )
    expect_success(told["init"], "cuInit", told["says"])
    expect(
        told["version"],
        "the driver does not tell which CUDA it serves",
        measured=f"cuDriverGetVersion: {told['version']}",
        expected="a version, as 12020",
        fix="see host.driver_matches",
    )
    cuda = run("paddle_build.build")["cuda"]
    if cuda[:1].isdigit():  # a CPU build says False, and fails elsewhere
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
        fix=known.get("fix", f"{XID}; look the code up: CUDA driver API, CUresult"),
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_gpus_visible(host, gpus, run, warn):
    """CUDA sees the GPUs that the driver lists.

    Fix: see the host checks and device.cuda_driver
    """
    seen = [gpu["uuid"] for gpu in run("cuda_driver.probe")["gpus"]]
    left_out = [gpu for gpu in host.gpus if gpu not in gpus]
    if left_out:
        warn(f"CUDA_VISIBLE_DEVICES={host.visible_devices} leaves out {', '.join(map(told_of, left_out))}")
    sliced = [gpu for gpu in gpus if gpu.mig is True]
    if sliced:
        warn(f"MIG is on: a slice is used of {', '.join(map(told_of, sliced))}")
        expect(
            seen,
            "CUDA sees no slice of a GPU",
            measured="0 devices",
            expected="one MIG instance at least",
            likely="no MIG instance was made",
            fix="nvidia-smi mig -lgi; as root: nvidia-smi mig -cgi 0 -C",
        )
        return
    unread = [gpu.uuid.reason for gpu in gpus if isinstance(gpu.uuid, Unknown)]
    expect(
        not unread,
        "the UUID of a GPU could not be read",
        measured="; ".join(unread),
        expected="a UUID for each GPU",
        fix="nvidia-smi -L",
    )
    meant = [gpu.uuid for gpu in gpus]
    missing = [told_of(gpu) for gpu in gpus if gpu.uuid not in seen]
    expect(
        not missing,
        f"CUDA does not see {len(missing)} of {len(meant)} GPUs: {', '.join(missing)}",
        measured=f"{len(seen)} seen: {', '.join(map(str, seen)) or 'none'}",
        expected=f"{len(meant)}: {', '.join(meant)}",
        likely="the GPU does not answer CUDA" if seen else "the driver does not initialise",
        fix=XID if seen else "see device.cuda_driver",
    )
    extra = [uuid or "one without a UUID" for uuid in seen if uuid not in meant]
    expect(
        not extra,
        f"CUDA sees GPUs that the driver does not list: {', '.join(extra)}",
        measured=f"{len(seen)} seen",
        expected=f"{len(meant)}: {', '.join(meant)}",
        likely="libcuda and libnvidia-ml are of different drivers",
        fix="see host.driver_matches; ldconfig -p | grep -e libcuda.so -e libnvidia-ml",
    )
    if seen != meant:
        warn(f"CUDA counts the GPUs in another order than the driver, gpu0 is its first: {', '.join(seen)}")


def told_of(gpu):
    return f"GPU {gpu.index} ({gpu.uuid.reason if isinstance(gpu.uuid, Unknown) else gpu.uuid})"


@pytest.mark.level("quick", seconds=2.5, priority=1)
def check_cnn(device, run, warn):
    """A small network trains here, with right values.

    Fix: see the host checks and device.cuda_driver
    """
    got = run("cnn.train", device=device.index, deadline=CNN_SECONDS)
    expect_usable(got, device)
    expect(
        got["shape"] == [1, 10],
        "the output has the wrong shape",
        measured=got["shape"],
        expected="[1, 10]",
        likely="files of two Paddle versions are mixed",
        fix="see install.files; to install again: paddle-bootstrap install --env DIR --repair",
    )
    elsewhere = {name: place for name, place in got["places"].items() if place != got["device"]}
    expect(
        not elsewhere,
        f"{len(elsewhere)} of {len(got['places'])} tensors are not on {got['device']}",
        measured=few(f"{name} on {place}" for name, place in elsewhere.items()),
        expected=f"all on {got['device']}",
        likely=FELL_BACK if "cpu" in elsewhere.values() else "work that was meant for this GPU went to another",
        fix="see device.cuda_driver and install.build",
    )
    if device.kind == "gpu":
        expect(
            got["memory"] >= got["parameter_bytes"],
            "the network does not lie in the GPU's memory",
            measured=f"the memory in use on {got['device']} grew by {got['memory']} bytes",
            expected=f"by at least the {got['parameter_bytes']} bytes of its parameters",
            likely=FELL_BACK,
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
        expected=f"Paddle sees {device.label}",
        likely="Paddle met a CUDA error when it was imported, and says so nowhere",
        fix="see device.cuda_driver, device.gpus_visible and install.build",
    )


def expect_right(got):
    """Values like NumPy's, finite, and a network that learns."""
    compared = {**got["differences"], **{f"step of {name}": value for name, value in got["steps"].items()}}
    wrong = {name: value for name, value in compared.items() if not value <= TOLERANCE}
    expect(
        not wrong,
        f"{len(wrong)} of {len(compared)} results differ from NumPy's on the CPU",
        measured=few(f"{name} by {value:.1e}" for name, value in wrong.items()),
        expected=f"within {TOLERANCE:g} of NumPy in float64, relative to the largest value",
        likely="code for another architecture, or a defective GPU",
        fix=DEFECT,
    )
    losses = ", ".join(f"{loss:.4f}" for loss in got["loss"])
    expect(
        got["finite"],
        "a value is not finite after training",
        measured=f"loss {losses}",
        expected="finite numbers",
        likely="a defective device: the first step was right",
        fix=DEFECT,
    )
    falls = all(later < earlier for earlier, later in zip(got["loss"], got["loss"][1:], strict=False))
    expect(
        falls,
        "the loss does not fall",
        measured=losses,
        expected="less after every step",
        likely="a defective device: the first step was right",
        fix=DEFECT,
    )
