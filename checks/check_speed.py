"""Training steps as a user has them, in images per second."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))["speed"]
SECONDS = 180  # deadline: cuDNN looks for its kernels during the first step


@pytest.mark.level("standard", seconds=2, priority=2)
def check_cnn(device, run, speed):
    """The tutorials' network trains fast.

    Small kernels, one after the other: the host's processor and the driver count as much as the GPU.
    Fix: see power.throttle, power.clocks and link.pcie_width
    """
    images(device, run, speed, "cnn", "cnn_images")


@pytest.mark.level("standard", seconds=3, priority=2)
def check_resnet(device, run, speed):
    """ResNet-50 trains fast.

    Fix: see power.throttle, power.clocks and gemm.fp16
    """
    images(device, run, speed, "resnet", "resnet50_images")


def images(device, run, speed, network, name):
    options = {**LIMITS[network][device.kind], "seed": LIMITS["seed"]}
    got = speed(
        name,
        "images/s",
        lambda **how: run("speed.images", device=device.index, deadline=SECONDS, **options, **how),
        "images_per_second",
    )
    expect(
        got["loss"] is not None,
        "the loss is not finite",
        measured=f"NaN or infinite after {got['steps']} measurements",
        expected="a finite loss",
        likely="a defective GPU: the speed counts for nothing",
        fix="see training.amp and gemm.repeatable",
    )
