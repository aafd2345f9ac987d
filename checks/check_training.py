"""What a training does with Paddle: losses that fall, batches from workers, an export that agrees, a state that comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.alike import standing
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
TRAINING, LOADER, EXPORT, CHECKPOINT = (LIMITS[name] for name in ("training", "loader", "export", "checkpoint"))
SECONDS = 120  # deadline
DEFECT = "see gemm.repeatable and elementwise.arithmetic; if they pass: verify --level deep -k words"
MIXED = "see install.files; to install again: paddle-bootstrap install --env DIR --repair"


@pytest.mark.level("standard", seconds=2.5, priority=1)
def check_fp32(device, run):
    """A residual network learns in fp32.

    Fix: see gemm.repeatable and elementwise.arithmetic
    """
    learn(device, run)


@pytest.mark.level("standard", seconds=2.5, priority=1)
@pytest.mark.requires("gpu")
def check_amp(device, run):
    """A residual network learns with AMP.

    Fix: see gemm.fp16 and elementwise.arithmetic
    """
    got = learn(device, run, amp="float16")
    expect(
        got["computed"] == "float16",
        f"AMP was asked for, and a convolution computed in {got['computed']}",
        measured=got["computed"],
        expected="float16",
        likely="this build or this card has no float16 for AMP, and Paddle went on without it",
        fix="see install.build and architecture.machine_code",
    )


@pytest.mark.level("standard", seconds=3, priority=2)
def check_loader(device, run):
    """Loader workers give right batches.

    They pass them through /dev/shm. One that dies is told, where a training would otherwise wait for ever.
    Fix: see host.shared_memory
    """
    got = run("loader.batches", device=device.index, deadline=SECONDS, workers=LOADER["workers"])
    expect(
        got["batches"] == got["expected"],
        f"the loader gave {got['batches']} of {got['expected']} batches",
        measured=got["batches"],
        expected=got["expected"],
        likely="a worker ended early",
        fix="see host.shared_memory; df -h /dev/shm",
    )
    expect(
        not got["wrong"],
        f"the loader gives wrong batches: {got['wrong'][:1]}",
        measured=few(got["wrong"]),
        expected="what the data set holds, in its order",
        likely="shared memory does not keep what is written, or the host's memory is defective",
        fix="see host.shared_memory; df -h /dev/shm; test the host's memory",
    )
    how = {"workers": LOADER["workers"], "seconds": LOADER["notice_seconds"]}
    died = run("loader.death", device=device.index, deadline=SECONDS, **how)
    expect(
        died["told"],
        "a loader worker was killed, and nobody was told",
        measured=f"{died['ended']}, after {died['seconds']:.0f} s",
        expected="an error that says so: a training would wait for ever, or go on with less",
        likely="the kernel or the container reports no child's death",
        fix="in a container: docker run --init; then a newer build: paddle-bootstrap plan",
    )


@pytest.mark.level("standard", seconds=2, priority=2)
def check_export(device, run):
    """An exported network infers as the live one.

    Fix: see install.files and libraries.cudnn
    """
    got = run("export.agree", device=device.index, deadline=SECONDS, seed=EXPORT["seed"])
    expect(
        got["shape"] == got["wanted"],
        "the inference engine gives another shape",
        measured=got["shape"],
        expected=got["wanted"],
        likely="files of two Paddle versions are mixed",
        fix=MIXED,
    )
    expect(
        got["difference"] <= EXPORT["tolerance"],
        "the inference engine gives other values than the live network",
        measured=f"a relative difference of {got['difference']:.1e}",
        expected=f"at most {EXPORT['tolerance']:g}",
        likely="the engine's fused kernels do not fit this GPU, or the GPU is defective",
        fix="see architecture.machine_code and libraries.cudnn",
    )


@pytest.mark.level("standard", seconds=1.5, priority=2)
def check_checkpoint(device, run):
    """A saved training goes on as if never stopped.

    Fix: see install.files; df -h /tmp
    """
    limits = {name: CHECKPOINT[name] for name in ("steps", "seed")}
    got = run("residual.resume", device=device.index, deadline=SECONDS, **limits)
    expect(
        got["loaded"] == 0,
        "parameters that were saved and loaded are not what they were",
        measured=f"a difference of {got['loaded']:.1e}",
        expected="the same bits",
        likely="the file system gave back other bytes than were written",
        fix="df -h /tmp; see the kernel's log: dmesg | tail",
    )
    expect(
        got["moved"] > CHECKPOINT["tolerance"],
        "a training step changes nothing",
        measured=f"the largest change of a parameter is {got['moved']:.1e}",
        expected=f"more than {CHECKPOINT['tolerance']:g}",
        likely="files of two Paddle versions are mixed",
        fix=MIXED,
    )
    expect(
        got["stepped"] <= CHECKPOINT["tolerance"],
        "the step after loading differs from the step without",
        measured=f"a parameter differs by {got['stepped']:.1e}, a step moves one by {got['moved']:.1e}",
        expected=f"at most {CHECKPOINT['tolerance']:g}",
        likely="the optimizer's state was not saved or not loaded whole, or this device does not repeat itself",
        fix="see gemm.repeatable; then install.files",
    )


def learn(device, run, amp=None):
    """Train; judge the losses, then compare them with those of equal cards."""
    got = run(
        "residual.train",
        device=device.index,
        deadline=SECONDS,
        steps=TRAINING["steps"][device.kind],
        seed=TRAINING["seed"],
        amp=amp,
    )
    losses = got["losses"]
    expect_finite(got, device, run)
    parts = max(1, len(losses) // 5)
    part = sum(losses[-parts:]) / parts / losses[0]
    expect(
        part <= TRAINING["falls"],
        "the loss does not fall",
        measured=f"{losses[0]:.4f} at first, {losses[-1]:.4f} after {len(losses)} steps: {part:.0%} of it at the end",
        expected=f"at most {TRAINING['falls']:.0%}",
        likely="wrong gradients: a defective GPU, or code for another architecture",
        fix=f"see architecture.machine_code; {DEFECT}",
    )
    others = {label: told["losses"] for label, told in run.others().items() if told["finite"]}
    found = standing(losses, others, lambda own, other: apart(own, other)[1] <= TRAINING["alike"])
    step, difference = max(
        (apart(losses, others[label]) for label in found.different), default=(0, 0.0), key=lambda one: one[1]
    )
    expect(
        not found.odd,
        f"{device.label} learns otherwise than {few(found.different)}",
        measured=f"a loss differs by {difference:.1e}, first at step {step}",
        expected=f"at most {TRAINING['alike']:g} between cards of one model, same data and seeds",
        likely="silent data corruption on the card that stands alone",
        fix=DEFECT,
    )
    return got


def apart(own, other):
    """The first step at which two trainings are not alike, and their largest difference."""
    differences = [abs(one - two) for one, two in zip(own, other, strict=True)]
    first = next((step for step, value in enumerate(differences) if not value <= TRAINING["alike"]), 0)
    return first, max(differences)


def expect_finite(got, device, run):
    if got["finite"]:
        return
    first = next((step for step, loss in enumerate(got["losses"]) if loss is None), None)
    sound = [label for label, told in run.others().items() if told["finite"]]
    expect(
        False,
        f"the training on {device.label} {'ends in values' if first is None else 'gives a loss'} that are not finite"
        + (f", on {few(sound)} it does not" if sound else ""),
        measured="a parameter is NaN or infinite" if first is None else f"NaN or infinite at step {first}",
        expected="finite losses and parameters",
        likely="a defective GPU"
        if sound
        else "code for another architecture, a cuDNN that does not fit, or a defective GPU",
        fix=f"see architecture.machine_code; {DEFECT}",
    )
