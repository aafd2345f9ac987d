"""Matrix products on a device: right values, speed, and the same bits every time.

A and B are SIZE x SIZE, normally distributed from a recorded seed: with zeros a card draws less power and looks faster
(measured on an H200: 894 instead of 769-798 TFLOP/s). They are rounded to the type before, so that input is exact.

Reference: ROWS rows, spread over the matrix so that each of the library's tiles is met, in float64 by NumPy on the CPU.
Errors are relative to the root mean square of the wanted values, which is about sqrt(SIZE). What to expect of a right product:
- output rounded to the type: half a unit in the last place of the largest value (five times the mean square at 500,000
  values): 5 x 2^-11 for float16, 5 x 2^-8 for bfloat16;
- TF32 cuts inputs to 10 bits: SIZE errors of up to 2 x 2^-10 of each product, of random sign but for the cut's bias;
- sums of SIZE products in float32: SIZE roundings of 2^-24 of a partial sum walk randomly: sqrt(SIZE) / 2.4 x 2^-24, and
  five times that for the worst of all values: 1.1e-5 at 8192. Tensor cores cut instead: SIZE / 16 x 2^-24 of bias.
"""

import contextlib
import os
import sys
import time

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import digest, expect_there, flag, on, rounded, tf32, wait

NAMES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
CHUNK = 512  # rows of B at a time in float64: 32 MB at 8192
BURST = 0.2  # seconds of products between two looks at the clock


def matrices(kind, size, seed):
    """A and B as float32 arrays that hold values of ``kind``."""
    random = np.random.default_rng(seed)
    both = random.standard_normal((2, size, size), dtype="float32")
    return rounded(both[0], NAMES[kind]), rounded(both[1], NAMES[kind])


def product(kind, size, seed, device):
    """(A, B as arrays, a function that gives their product on the device)."""
    import paddle

    arrays = matrices(kind, size, seed)
    left, right = (paddle.to_tensor(array).astype(NAMES[kind]) for array in arrays)
    expect_there("left factor", left, device)
    return arrays, lambda: paddle.matmul(left, right)


@contextlib.contextmanager
def arithmetic(kind):
    """float32 as it is or as TF32, and sums of float16 in float32."""
    with tf32(kind == "tf32"), flag("FLAGS_gemm_use_half_precision_compute_type", False):
        yield


@on
def matmul(device, kind, size, rows, seconds, warm_up, seed):
    """{"tflops", "rounds", "error": relative, "wrong": [row, column, expected, found], "finite",
    "zeros": share of the sampled values}"""
    with arithmetic(kind):
        (left, right), multiply = product(kind, size, seed, device)
        told = compare(multiply(), left, right, rows, device)
        del left, right
        timed(multiply, device, warm_up)
        samples = timed(multiply, device, seconds)
        told.update(tflops=2.0 * size**3 / float(np.median(samples)) / 1e12, rounds=len(samples))
        return told


def compare(found, left, right, rows, device):
    """What ``found`` is, beside the product of the sampled rows of ``left`` with ``right`` in float64."""
    import paddle

    expect_there("product", found, device)
    size = left.shape[0]
    sampled = np.unique(np.linspace(0, size - 1, min(rows, size)).astype(int))
    wanted = np.zeros((len(sampled), right.shape[1]))
    for start in range(0, size, CHUNK):
        wanted += left[sampled, start : start + CHUNK].astype("float64") @ right[start : start + CHUNK].astype(
            "float64"
        )
    values = found.astype("float32")
    got = paddle.gather(values, paddle.to_tensor(sampled)).numpy()
    errors = np.abs(got - wanted) / np.sqrt((wanted**2).mean())
    row, column = np.unravel_index(np.argmax(np.where(np.isfinite(errors), errors, np.inf)), errors.shape)
    return {
        "error": float(np.nan_to_num(errors[row, column], nan=1e30, posinf=1e30)),  # JSON has no infinity
        "wrong": [int(sampled[row]), int(column), "%.6g" % wanted[row, column], "%.6g" % got[row, column]],
        "finite": bool(paddle.isfinite(values).all().numpy()),
        "zeros": float((got == 0).mean()),
    }


def timed(multiply, device, seconds):
    """Seconds of one product, for ``seconds`` long: each is the mean of a burst, so that asking costs nothing."""
    wait(device)
    samples, count, end = [], 1, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(count):
            multiply()
        wait(device)
        took = (time.perf_counter() - start) / count
        samples.append(took)
        count = max(1, int(BURST / took))
    return samples


@on
def repeat(device, kind, size, times, seed):
    """{"digests": [sha256 of each product's bytes]}: all the same on a sound card, and on equal cards."""
    with arithmetic(kind):
        _, multiply = product(kind, size, seed, device)
        return {"digests": [digest(multiply()) for _ in range(times)]}
