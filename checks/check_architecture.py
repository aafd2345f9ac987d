"""Machine code: the installed libraries hold SASS for every GPU, read from their bytes and not from what anyone says of them."""

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

SHARE = tomllib.loads(Path(__file__).with_name("limits.toml").read_text(encoding="utf-8"))["machine_code"]["share"]


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_machine_code(device, host, run):
    """Paddle's libraries hold machine code for this GPU."""
    told = run("fatbin.scan", deadline=60)
    expect(told["package"], "no paddle is installed in the target", fix="paddle-bootstrap install --env DIR")
    expect(
        told["libraries"],
        "Paddle's libraries hold no device code: this is a CPU build",
        measured="no .nv_fatbin section in paddle/libs or paddle/base",
        expected="a GPU build",
        fix="paddle-bootstrap install --device gpu --env DIR",
    )
    capability = device.gpu.compute_capability
    expect(not isinstance(capability, Unknown), "the GPU's compute capability could not be read", measured=str(capability))
    major, minor = capability
    name, images = main_library(told["libraries"])
    sass, ptx = common(images["sass"]), common(images["ptx"], of=images["sass"])
    runs = any(number // 10 == major and number % 10 <= minor for number in sass)
    compiled = ptx and may_compile(host, run) and major * 10 + minor >= min(ptx)
    expect(
        runs or compiled,
        f"no machine code for sm_{major}{minor} in {name}",
        measured=f"{name} holds {', '.join(f'sm_{number}' for number in sass)}" + (f" and PTX {ptx}" if ptx else ""),
        expected=f"machine code for compute capability {major}.{minor} ({device.gpu.name})",
        likely="the GPU is newer, or much older, than this build; its first kernel would fail with CUDA error 209",
        fix="install a build for this GPU: paddle-bootstrap plan",
    )


def main_library(libraries):
    """The library with the most images: the one that holds the kernels; the rest are helpers."""
    return max(libraries.items(), key=lambda item: sum(item[1]["sass"].values()))


def common(images, of=None):
    """Capabilities that most kernels have; a few stray images of a helper do not make a GPU usable."""
    most = max((of if of is not None else images).values(), default=0)
    return sorted(int(number) for number, count in images.items() if count >= SHARE * most)


def may_compile(host, run):
    """PTX needs a driver that serves at least the CUDA version of the toolkit that made it."""
    cuda = run("paddle_build.build")["cuda"]
    serves = host.driver.cuda_version
    return isinstance(serves, tuple) and tuple(serves) >= tuple(int(part) for part in cuda.split("."))
