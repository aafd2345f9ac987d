"""Full power for minutes, and full power on and off: matrix products on a device whose memory is nearly all held.

`device` is "cpu" or a CUDA ordinal. What a card computed until it was lost is told, with the moment: {"lost": ...}.
"""

import ctypes
import math
import os
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from gemm import product
from on_device import place_on, release, wait

BLOCK = 256 << 20  # bytes held in one piece
BURST = 0.1  # seconds of products between two looks at the clock
LOST = (OSError, RuntimeError, SystemError)  # what Paddle raises once a card does not answer any more


def power(device, **what):
    """Products without a break.

    {"rates": [TFLOP/s of each second], "held": share of the memory that was in use, or None, "spoiled": [blocks whose content
    changed], "lost": None or {"after": seconds, "error"}}
    """
    return on(device, without_a_break, what)


def swing(device, **what):
    """Products for ``work`` seconds, none for ``rest``, by the wall clock: so all cards of a host are in step.

    {"rates": [TFLOP/s of each swing], "late": [seconds by which each began too late], "lost": None or {"swing", "error"}}
    """
    return on(device, on_and_off, what)


def on(device, load, what):
    """Afterwards its tensors are gone, and their memory is the card's again; a lost card is asked for nothing any more."""
    place_on(device)
    told = load(device, **what)
    if told["lost"] is None:
        release(device)
    return told


def without_a_break(device, kind, size, seconds, hold, seed):
    _, multiply = product(kind, size, seed, device)
    flops, count = 2.0 * size**3, warmed(multiply, device)
    blocks, held = fill(device, hold)
    began, bursts, lost, spoiled = time.perf_counter(), [], None, []
    try:
        while time.perf_counter() - began < seconds:
            bursts.append(burst(multiply, device, count))
        spoiled = [number for number, block in enumerate(blocks) if not whole(block, number)]
    except LOST as error:
        lost = {"after": time.perf_counter() - began, "error": str(error)}
    rates = by_second([(start - began, end - began, done * flops) for start, end, done in bursts])
    return {"rates": rates, "held": held, "spoiled": spoiled, "lost": lost}


def on_and_off(device, kind, size, seconds, work, rest, seed):
    _, multiply = product(kind, size, seed, device)
    flops, count = 2.0 * size**3, max(1, warmed(multiply, device) // 4)
    rates, late, lost = [], [], None
    first = math.ceil(time.time() / (work + rest)) * (work + rest)
    for number in range(max(1, round(seconds / (work + rest)))):
        begin = first + number * (work + rest)
        time.sleep(max(0.0, begin - time.time()))
        late.append(time.time() - begin)
        try:
            rates.append(flops * rate_until(begin + work, multiply, device, count) / 1e12)
        except LOST as error:
            lost = {"swing": number + 1, "error": str(error)}
            break
    return {"rates": rates, "late": late, "lost": lost}


def rate_until(moment, multiply, device, count):
    """Products per second; 0 when the moment had passed before the first."""
    bursts = []
    while time.time() < moment:
        bursts.append(burst(multiply, device, count))
    busy = sum(end - start for start, end, _ in bursts)
    return sum(done for _, _, done in bursts) / busy if busy else 0.0


def burst(multiply, device, count):
    """(start, end, count) of so many products."""
    start = time.perf_counter()
    for _ in range(count):
        multiply()
    wait(device)
    return start, time.perf_counter(), count


def warmed(multiply, device):
    """How many products take about BURST seconds; the libraries are loaded and have chosen by then."""
    burst(multiply, device, 3)
    start, end, count = burst(multiply, device, 3)
    return max(1, int(BURST * count / (end - start)))


def by_second(bursts):
    """TFLOP/s of each whole second, over the bursts that ended in it; 0 where none did."""
    sums = [[0.0, 0.0] for _ in range(int(bursts[-1][1]) if bursts else 0)]
    for start, end, flops in bursts:
        if int(end) < len(sums):
            sums[int(end)][0] += flops
            sums[int(end)][1] += end - start
    return [flops / busy / 1e12 if busy else 0.0 for flops, busy in sums]


def memory():
    """(free, total) bytes of the card that this thread computes on."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    code = ctypes.CDLL("libcuda.so.1").cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    if code:
        raise RuntimeError("cuMemGetInfo: CUDA error %d" % code)
    return free.value, total.value


def fill(device, hold):
    """Blocks of known content until ``hold`` of the memory is in use, or no more can be had; and the share that is."""
    import paddle

    if device == "cpu":
        return [content(paddle, number, 1 << 20) for number in range(2)], None
    blocks = []
    free, total = memory()
    while total - free < hold * total:
        try:
            blocks.append(content(paddle, len(blocks), BLOCK))
        except (MemoryError, *LOST):
            break
        wait(device)
        free, total = memory()
    return blocks, (total - free) / total


def content(paddle, number, size):
    return paddle.full([size // 4], number + 1, dtype="int32")


def whole(block, number):
    """No value in it is larger or smaller than what was written: this takes no memory."""
    return int(block.max()) == int(block.min()) == number + 1
