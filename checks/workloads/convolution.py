"""A convolution and its gradients on a device, in each precision, beside NumPy in float64 on the CPU.

[2, 8, 15, 17] with [6, 8, 3, 3]: odd sizes, and a sum of 72 products (510 for the filters' gradient). Input is rounded to
the type before, so only the sums and the output's rounding differ.
"""

import os
import sys

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import difference, expect_there, on, rounded, tf32

NAMES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def data(dtype, seed):
    """Image, filters, and the gradient that arrives at the output."""
    random = np.random.default_rng(seed)
    shapes = (2, 8, 15, 17), (6, 8, 3, 3), (2, 6, 13, 15)
    return [rounded(random.standard_normal(shape, dtype="float32"), dtype) for shape in shapes]


def wanted(dtype, seed):
    image, filters, back = (array.astype("float64") for array in data(dtype, seed))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    spread = np.pad(back, ((0, 0), (0, 0), (2, 2), (2, 2)))
    backs = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), axis=(2, 3))
    return {
        "output": np.einsum("ncyxhw,fchw->nfyx", windows, filters, optimize=True),
        "image's gradient": np.einsum("nfyxhw,fchw->ncyx", backs, filters[:, :, ::-1, ::-1], optimize=True),
        "filters' gradient": np.einsum("nfyx,ncyxhw->fchw", back, windows, optimize=True),
    }


@on
def convolve(device, kinds, seed):
    """{precision: {tensor: relative difference}}"""
    told = {}
    for kind in kinds:
        with tf32(kind == "tf32"):
            found = computed(NAMES[kind], seed, device)
        right = wanted(NAMES[kind], seed)
        told[kind] = {name: min(difference(found[name], right[name]), 1e30) for name in right}
    return told


def computed(dtype, seed, device):
    import paddle

    image, filters, back = (paddle.to_tensor(array).astype(dtype) for array in data(dtype, seed))
    image.stop_gradient = filters.stop_gradient = False
    output = paddle.nn.functional.conv2d(image, filters)
    paddle.autograd.backward([output], [back])
    found = {"output": output, "image's gradient": image.grad, "filters' gradient": filters.grad}
    for name, tensor in found.items():
        expect_there(name, tensor, device)
    return {name: tensor.astype("float32").numpy() for name, tensor in found.items()}
