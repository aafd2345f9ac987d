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
    if told["init"] != 0:
        refuse(told["init"], "cuInit")
    cuda = run("paddle_build.build")["cuda"]
    serves = f"{told['version'] // 1000}.{told['version'] % 1000 // 10}" if told["version"] else "an unknown CUDA"
    if cuda[:1].isdigit() and serves[:1].isdigit() and int(serves.split(".")[0]) < int(cuda.split(".")[0]):
        refuse(35, f"the driver serves CUDA {serves}, the build is CUDA {cuda}")
    if told["count_code"] != 0:
        refuse(told["count_code"], "cuDeviceGetCount")
    if told["count"] == 0:
        refuse(100, "cuDeviceGetCount gave 0")


def refuse(code, where):
    """Fail with the driver's own code, its meaning and what to do."""
    known = CUDA_ERRORS.get(str(code), {"name": "a code of the CUDA driver", "means": "see the CUDA driver API", "fix": "dmesg | grep -i nvrm"})
    expect(
        False,
        f"CUDA error {code}: {known['means']}",
        measured=f"{where}: {code} ({known['name']})",
        expected="0 (CUDA_SUCCESS)",
        fix=known["fix"],
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_gpus_visible(host, gpus, run, warn):
    """The GPUs that CUDA sees in the target are those that the driver lists."""
    told = run("cuda_driver.probe")
    seen = set(filter(None, told["uuids"]))
    meant = {gpu.uuid for gpu in gpus if not isinstance(gpu.uuid, Unknown)}
    mig = [gpu for gpu in gpus if gpu.mig is True]
    missing = sorted(meant - seen)
    if len(gpus) < len(host.gpus):
        warn(f"CUDA_VISIBLE_DEVICES={host.visible_devices} leaves {len(gpus)} of {len(host.gpus)} GPUs")
    if mig:
        warn(f"MIG is on for GPU {', '.join(str(gpu.index) for gpu in mig)}: a slice is used, not the GPU")
        return
    expect(
        not missing,
        f"CUDA does not see {len(missing)} of {len(meant)} GPUs: {', '.join(missing)}",
        measured=f"{len(seen)} seen: {', '.join(sorted(seen)) or 'none'}",
        expected=f"{len(meant)}: {', '.join(sorted(meant))}",
        likely="the GPU does not answer CUDA, or a container was given only some",
        fix="dmesg | grep -i -e xid -e nvrm",
    )


@pytest.mark.level("quick")
def check_cnn(device, run, warn):
    """A small network trains here: right values, everything on this device."""
    got = run("cnn.train", device=device.index, deadline=120)
    expect("unusable" not in got, f"Paddle cannot use {device.label}", measured=got.get("unusable"), fix="see device.cuda_driver")
    expect(got["shape"] == [1, 10], "the output has the wrong shape", measured=got["shape"], expected="[1, 10]")
    elsewhere = {name: place for name, place in got["places"].items() if place != got["device"]}
    expect(
        not elsewhere,
        f"{len(elsewhere)} tensors are not on {got['device']}",
        measured=", ".join(f"{name} on {place}" for name, place in elsewhere.items()),
        expected=f"all on {got['device']}",
        likely="Paddle fell back to the CPU",
        fix="see device.cuda_driver and install.build",
    )
    expect(got["finite"], "a value is not finite", measured=f"loss {got['loss']}", likely="the device computes wrongly")
    wrong = {name: value for name, value in got["differences"].items() if not value <= TOLERANCE}
    expect(
        not wrong,
        f"{len(wrong)} values differ from the CPU's",
        measured=", ".join(f"{name} by {value:.2e}" for name, value in wrong.items()),
        expected=f"within {TOLERANCE:g} of NumPy in float64, relative to the largest value",
        likely="code for another architecture, or a defective GPU",
        fix="see architecture.machine_code; if that passes, have the GPU tested: dcgmi diag -r 3",
    )
    falls = all(later < earlier for earlier, later in zip(got["loss"], got["loss"][1:], strict=False))
    expect(falls, "the loss does not fall", measured=", ".join(f"{loss:.4f}" for loss in got["loss"]), expected="less at every step")
    if device.kind == "gpu":
        expect(got["memory"] > 0, "no memory of the GPU was used", measured=got["memory"], likely="Paddle fell back to the CPU")
    else:
        warn("this was the CPU: no GPU was judged")
