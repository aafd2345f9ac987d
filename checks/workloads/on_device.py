"""What every load needs of Paddle: the device it is meant for and no other, exact data, and its memory given back.

`device` is "cpu" or a CUDA ordinal. What cannot be is raised: a load that fell back to the CPU has tested nothing.
"""

import contextlib
import functools
import gc
import hashlib

import numpy as np


def place_on(device):
    """Make ``device`` the one that Paddle computes on. Asked first: set_device would end the process (2.6)."""
    import paddle

    if device == "cpu":
        return paddle.set_device("cpu")
    if not paddle.is_compiled_with_cuda():
        raise RuntimeError("the installed Paddle is a CPU build")
    count = paddle.device.cuda.device_count()
    if device >= count:
        raise RuntimeError("Paddle sees %d GPUs, so it has no gpu:%d" % (count, device))
    return paddle.set_device("gpu:%d" % device)


def on(function):
    """For ``function(device, ...)``: it works on that device; afterwards the memory it took is the card's again.

    A function, and no block: by then its tensors are gone.
    """

    @functools.wraps(function)
    def placed(device, **arguments):
        place_on(device)
        try:
            return function(device, **arguments)
        finally:
            release(device)

    return placed


def release(device):
    import paddle

    gc.collect()
    if device != "cpu":
        paddle.device.cuda.empty_cache()


def wait(device):
    """Until the card has done what it was given: calls return before that."""
    import paddle

    if device != "cpu":
        paddle.device.cuda.synchronize(device)


def expect_there(name, tensor, device):
    """Raise unless ``tensor`` lies where it was meant to."""
    place = tensor.place
    there = place.is_cpu_place() if device == "cpu" else place.is_gpu_place() and place.gpu_device_id() == device
    if not there:
        raise RuntimeError(
            "the %s lies on %s, not on %s" % (name, place, "cpu" if device == "cpu" else "gpu:%d" % device)
        )


@contextlib.contextmanager
def flag(name, value):
    """One of Paddle's flags for a while, where the build has it: the next load has its own."""
    import paddle

    try:
        before = paddle.get_flags(name)
        paddle.set_flags({name: value})
    except ValueError:
        before = {}
    try:
        yield
    finally:
        paddle.set_flags(before)


@contextlib.contextmanager
def tf32(allowed):
    """Whether cuBLAS and cuDNN may round float32 to TF32 (both do unless told otherwise, from compute capability 8.0 on)."""
    from paddle.base import core

    kinds = [kind for kind in ("cublas", "cudnn") if hasattr(core, "set_%s_switch" % kind)]  # 2.6: GPU builds only
    before = {kind: getattr(core, "get_%s_switch" % kind)() for kind in kinds}
    try:
        for kind in kinds:
            getattr(core, "set_%s_switch" % kind)(allowed)
        yield
    finally:
        for kind, value in before.items():
            getattr(core, "set_%s_switch" % kind)(value)


def rounded(array, dtype):
    """float32 ``array`` with the values it has as ``dtype``: rounded here, to the nearest, so that a cast there is exact."""
    if dtype == "float16":
        return array.astype("float16").astype("float32")
    if dtype != "bfloat16":
        return array
    bits = array.view("uint32")
    bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return bits.view("float32")


def digest(tensor):
    """sha256 of the tensor's bytes."""
    return hashlib.sha256(np.ascontiguousarray(tensor.numpy()).data).hexdigest()


def scalar(tensor):
    return float(tensor.astype("float32").numpy().reshape(-1)[0])


def difference(got, wanted):
    """Largest difference, relative to the largest value wanted; infinite where shapes differ or a value is not finite."""
    got, wanted = np.asarray(got, "float64"), np.asarray(wanted, "float64")
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())
