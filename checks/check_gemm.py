"""Matrix products and convolutions with Paddle: right in each precision, fast, and the same every time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.alike import standing
from paddle_bootstrap.harness.readings import NotSupported
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.toml import shipped

LIMITS = shipped(Path(__file__).with_name("limits.toml"))
GEMM, CONVOLUTION = LIMITS["gemm"], LIMITS["convolution"]
TFLOPS = "TFLOP/s"
SECONDS = 180  # deadline: the first product loads cuBLAS, and eight cards draw their matrices at once
DEFECT = "take the card out of service; verify --level deep -k words; if that passes: dcgmi diag -r 3"
CORRUPTION = "silent data corruption: a defect of the chip or of its memory"


@pytest.mark.level("standard", seconds=2.5, priority=1)
def check_fp32(device, run, speed, warn):
    """Products in fp32 are right and fast.

    Fix: see device.cnn and architecture.machine_code
    """
    got = product(device, run, speed, "fp32")
    if got["error"] > GEMM["tolerance"]["fp32"]:
        warn(f"float32 was computed in TF32: a relative error of {got['error']:.1e}, though TF32 was switched off")


@pytest.mark.level("standard", seconds=2.5, priority=1)
@pytest.mark.requires("gpu")
def check_tf32(device, run, speed, measure, warn):
    """Products in TF32 are right and fast.

    Fix: see device.cnn and architecture.machine_code
    """
    got = multiplied(device, run, "tf32")
    if got["error"] <= GEMM["tolerance"]["fp32"]:
        measure("matmul_tf32", got["tflops"], TFLOPS, judged=False)
        warn("TF32 is not used: float32 stays exact, and slow; see environment.variables (NVIDIA_TF32_OVERRIDE)")
        return
    product(device, run, speed, "tf32", got)


@pytest.mark.level("standard", seconds=9.5, priority=1)
@pytest.mark.requires("gpu")
def check_fp16(device, run, speed):
    """Products in fp16 are right and fast.

    Fix: see device.cnn and architecture.machine_code
    """
    product(device, run, speed, "fp16")


@pytest.mark.level("standard", seconds=2.5, priority=1)
@pytest.mark.requires("gpu")
def check_bf16(device, run, speed):
    """Products in bf16 are right and fast.

    Fix: see device.cnn and architecture.machine_code
    """
    product(device, run, speed, "bf16")


@pytest.mark.level("standard", seconds=2, priority=1)
def check_repeatable(device, run):
    """The same product gives the same bits, always.

    Fix: take the card out of service; verify --level deep -k words
    """
    times = GEMM["repeat"]["times"]
    what = {**GEMM["repeat"][device.kind], "times": times, "seed": GEMM["seed"]}
    digests = run("gemm.repeat", device=device.index, deadline=SECONDS, **what)["digests"]
    counts = Counter(digests)
    (usual, usually), *rest = counts.most_common()
    expect(
        not rest,
        f"{device.label} computed {len(counts)} different products of the same matrices",
        measured=f"{usually} of {times} products are equal; of another sha256: {few(digest[:12] for digest, _ in rest)}",
        expected=f"{times} equal ones, bit by bit",
        likely=CORRUPTION,
        fix=DEFECT,
    )
    others = {label: set(told["digests"]) for label, told in run.others().items()}
    found = standing({usual}, {label: told for label, told in others.items() if len(told) == 1})
    expect(
        not found.odd,
        f"{device.label} computes another product than {few(found.different)}",
        measured=f"sha256 {usual[:12]} on {few([device.label, *found.same])}",
        expected="the same bits on all cards of a model, as most have them",
        likely=CORRUPTION,
        fix=DEFECT,
    )


@pytest.mark.level("standard", seconds=1.5, priority=1)
def check_convolution(device, run):
    """A convolution and its gradients are right.

    Fix: see device.cnn and architecture.machine_code
    """
    kinds = ["fp32"] if device.kind == "cpu" else [kind for kind in CONVOLUTION["tolerance"] if not lack(device, kind)]
    got = run("convolution.convolve", device=device.index, deadline=SECONDS, kinds=kinds, seed=CONVOLUTION["seed"])
    wrong = {
        f"{kind}: {name} by {value:.1e}, not {allowed(kind, device):g}": value
        for kind, differences in got.items()
        for name, value in differences.items()
        if not value <= allowed(kind, device)
    }
    expect(
        not wrong,
        f"{len(wrong)} of {sum(map(len, got.values()))} results differ from NumPy's on the CPU",
        measured=few(wrong),
        expected="the values that float64 gives, but for rounding",
        likely="code for another architecture, a cuDNN that does not fit, or a defective GPU",
        fix="see architecture.machine_code and libraries.cudnn; if they pass: dcgmi diag -r 3",
    )


def allowed(kind, device):
    return CONVOLUTION["tolerance"][rounded(kind, device)]


def rounded(kind, device):
    """fp32 is taken as TF32 where the card has it and the library may not obey: check_fp32 tells that."""
    return "tf32" if kind == "fp32" and device.kind == "gpu" and not lack(device, "tf32") else kind


def lack(device, kind):
    """Why this card has no such type; None when it has, or nobody knows."""
    since, found = GEMM["since"].get(kind), device.gpu.compute_capability if device.gpu else None
    if since is None or found is None or isinstance(found, Unknown) or tuple(found) >= tuple(since):
        return None
    return f"{kind} needs compute capability {joined(since)}, {device.label} has {joined(found)}"


def joined(capability):
    return ".".join(map(str, capability))


def multiplied(device, run, kind, **how):
    """What one card gave, once its values are right. Skips where the card lacks the type."""
    if why := lack(device, kind):
        raise NotSupported(why)
    sizes = GEMM["cpu"] if device.kind == "cpu" else GEMM.get(f"gpu_{kind}", GEMM["gpu"])
    got = run("gemm.matmul", device=device.index, deadline=SECONDS, kind=kind, seed=GEMM["seed"], **sizes, **how)
    expect_right(got, kind, device)
    return got


def product(device, run, speed, kind, got=None):
    """The product of two random matrices: values, then speed."""
    first = [got or multiplied(device, run, kind)]
    return speed(
        f"matmul_{kind}",
        TFLOPS,
        lambda **how: first.pop() if first and not how else multiplied(device, run, kind, **how),
        "tflops",
    )


def expect_right(got, kind, device):
    expect(
        got["finite"],
        f"a {kind} product of finite numbers is not finite",
        measured="infinite values or NaN",
        expected="values of about the square root of the size",
        likely="a defective GPU",
        fix=DEFECT,
    )
    expect(
        got["zeros"] <= GEMM["zeros"],
        f"{got['zeros']:.0%} of the {kind} product's values are 0",
        measured=f"{got['zeros']:.2%} of the sampled rows",
        expected=f"at most {GEMM['zeros']:.1%} of a product of random matrices",
        likely="the kernel did not run, or not on all of the chip: code for another architecture",
        fix="see architecture.machine_code",
    )
    tolerance = GEMM["tolerance"][rounded(kind, device)]
    row, column, wanted, found = got["wrong"]
    expect(
        got["error"] <= tolerance,
        f"the {kind} product is wrong: row {row}, column {column} is {found}, not {wanted}",
        measured=f"a relative error of {got['error']:.1e}",
        expected=f"at most {tolerance:g}, beside float64 on the CPU",
        likely="a defective GPU, or code for another architecture",
        fix=f"see architecture.machine_code; {DEFECT}",
    )
