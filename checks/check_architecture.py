"""Machine code for every GPU: by the lock's data before anything is downloaded, then by the bytes of what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from paddle_bootstrap.harness import expect
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
PADDLES = LIMITS["packages"]["paddle"]
KERNELS, SHARE = LIMITS["machine_code"]["libraries"], LIMITS["machine_code"]["share"]
LIKELY = "the GPU is newer, or much older, than this build; its first kernel would fail with CUDA error 209"
FIX = (
    "see which build has: paddle-bootstrap plan --all; or name a lock that does: --lock FILE; to rehearse: --device cpu"
)


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_build(host, lock, gpus, warn):
    """The lock's build has code for every GPU.

    Fix: see the host checks; to rehearse without a GPU: --device cpu
    """
    build = lock.build
    compiles = may_compile(host, build.toolkit_driver)
    lacking = {gpu: capability_of(gpu) for gpu in gpus}
    if not build.sass and not build.ptx:
        warn(
            f"the whole machine code of {build.package} {build.version} is not known; its bytes decide once they are here"
        )
        return
    lacking = {gpu: found for gpu, found in lacking.items() if not runs_on(found, build.sass, build.ptx, compiles)}
    expect(
        not lacking,
        f"no machine code for {names({joined(found) for found in lacking.values()})} in {build.package} {build.version}",
        measured="; ".join(f"GPU {gpu.index}, {gpu.name}: sm_{joined(found)}" for gpu, found in lacking.items()),
        expected=f"GPUs for its {names(build.sass)}{told_of(build.ptx, compiles)}",
        likely=LIKELY,
        fix=FIX,
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_machine_code(device, host, run):
    """Paddle's libraries hold code for this GPU.

    Fix: see the host checks and install.files
    """
    told = run("fatbin.scan")
    expect(
        told["package"],
        "no Paddle is installed here",
        measured="no folder paddle in site-packages",
        expected="a GPU build",
        fix="paddle-bootstrap install --env DIR --repair",
    )
    expect(
        told["libraries"],
        "this is a CPU build: Paddle's libraries hold no device code",
        measured="no .nv_fatbin section in paddle/libs or paddle/base",
        expected="a GPU build",
        likely="paddlepaddle was installed over paddlepaddle-gpu, or in its place",
        fix="paddle-bootstrap install --device gpu --env DIR",
    )
    found = capability_of(device.gpu)
    for library, images in kernels(told["libraries"]).items():
        sass, ptx = held(images, "sass"), held(images, "ptx")
        compiles = bool(ptx) and serves(host, run("paddle_build.build")["cuda"])
        name = Path(library).name
        expect(
            runs_on(found, sass, ptx, compiles),
            f"no machine code for sm_{joined(found)} in {installed(run)} ({name} has {names(sass)})",
            measured=f"{library}: {counted(images)}",
            expected=f"most kernels for sm_{joined(found)} ({device.gpu.name}){told_of(ptx, compiles)}",
            likely=LIKELY,
            fix=FIX,
        )


def capability_of(gpu):
    found = gpu.compute_capability
    expect(
        not isinstance(found, Unknown),
        f"the compute capability of GPU {gpu.index} could not be read",
        measured=getattr(found, "reason", None),
        expected="two numbers, as 8.0",
        fix="nvidia-smi --query-gpu=name,compute_cap --format=csv",
    )
    return found


def runs_on(capability, sass, ptx, compiles):
    """Machine code runs on its own major capability from its minor on; PTX on any later one, if the driver may compile it.

    Source: CUDA C++ Programming Guide, binary and PTX compatibility.
    """
    major, minor = capability
    runs = any(number // 10 == major and number % 10 <= minor for number in sass)
    return runs or (compiles and any(number <= joined(capability) for number in ptx))


def may_compile(host, toolkit_driver):
    """A driver compiles PTX of its own CUDA version and older: it must be as new as the toolkit's own driver."""
    version = host.driver.kernel_module
    return isinstance(version, str) and toolkit_driver is not None and Version(version) >= Version(toolkit_driver)


def serves(host, cuda):
    """The same by CUDA version, where there is no lock to say which driver came with it; a CPU build says 'False'."""
    found = host.driver.cuda_version
    return isinstance(found, tuple) and cuda[:1].isdigit() and found >= tuple(map(int, cuda.split(".")[:2]))


def kernels(libraries):
    """The libraries that hold Paddle's kernels; in a layout not known here, the one with the most images."""
    found = {path: images for path, images in libraries.items() if Path(path).name in KERNELS}
    return found or dict([max(libraries.items(), key=lambda item: sum(item[1]["sass"].values()))])


def held(images, kind):
    """Capabilities that most kernels are there for; a few stray images do not make a GPU usable."""
    most = max((*images["sass"].values(), *images["ptx"].values()), default=0)
    return sorted(int(number) for number, count in images[kind].items() if count >= SHARE * most)


def installed(run):
    """``paddlepaddle-gpu 2.6.2``."""
    return " and ".join(f"{name} {version}" for name, version in run("distributions.beside", names=PADDLES)) or "paddle"


def joined(capability):
    return capability[0] * 10 + capability[1]


def names(capabilities):
    """sm_61, 70, 75."""
    return f"sm_{', '.join(map(str, sorted(capabilities)))}" if capabilities else "no machine code"


def told_of(ptx, compiles):
    if not ptx:
        return ""
    told = ", ".join(map(str, sorted(ptx)))
    return f", or later than its PTX {told}" if compiles else f"; its PTX {told} cannot be compiled by this driver"


def counted(images):
    """SASS 61: 665, SASS 70: 666, PTX 90: 7."""
    counts = [
        f"{kind.upper()} {number}: {images[kind][number]}"
        for kind in ("sass", "ptx")
        for number in sorted(images[kind], key=int)
    ]
    return ", ".join(counts) or "no image"
