"""Computing by the driver alone: the same chains of integers and floats on every multiprocessor, again and again.

A result must have the same bits each time, on each equal card, and where the CPU computes it too (a few threads).
"""

import collections
import ctypes
import hashlib
import os
import statistics
import struct
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from libcuda import BLOCK, GRID, MULTIPROCESSORS, Card, call, told

MASK = 0xFFFFFFFF
WORDS = GRID * BLOCK
SAMPLES = [GRID // 4 * place * BLOCK for place in range(4)]  # threads that the CPU computes too
MANTISSA = 24  # bits of a float32


@told
def launch(device, times=500):
    """Microseconds from starting a kernel that does nothing until the host knows that it has ended: {"us": median}."""
    with Card(device) as card:
        found = []
        for _ in range(times + times // 10):
            began = time.perf_counter()
            card.launch("nothing", blocks=1)
            card.wait()
            found.append(time.perf_counter() - began)
        return {"us": statistics.median(found[times // 10 :]) * 1e6}


@told
def repeat(device, kernel, times, rounds, seed):
    """The kernel ``times`` times: {"digests": of each result, "odd": runs unlike the most, "wrong": unlike the CPU, ...}.

    "odd": [{"run", "blocks": how many differ, "units": the multiprocessors that computed them}]; "wrong": [{"thread",
    "expected", "found"}] of the first run; "units": how many multiprocessors took part, of "multiprocessors".
    """
    with Card(device) as card:
        out, units = card.memory(4 * WORDS), card.memory(4 * GRID)
        runs, where = [], []
        for _ in range(times):
            call("cuMemsetD8_v2", out, 0, 4 * WORDS)
            card.launch(kernel, *arguments(out, units, rounds, seed))
            card.wait()
            runs.append(read(out, 4 * WORDS))
            where.append(struct.unpack("<%dI" % GRID, read(units, 4 * GRID)))
        multiprocessors = card.attribute(MULTIPROCESSORS)
    digests = digests_of(runs)
    return {
        "digests": digests,
        "odd": odd_ones(digests, runs, where),
        "wrong": unlike_the_cpu(runs[0], kernel, rounds, seed),
        "compared": len(SAMPLES),
        "units": len(set(where[0])),
        "multiprocessors": multiprocessors,
    }


def arguments(out, units, rounds, seed):
    return [ctypes.c_ulonglong(out), ctypes.c_ulonglong(units), ctypes.c_uint(rounds), ctypes.c_uint(seed)]


def read(address, size):
    into = ctypes.create_string_buffer(size)
    call("cuMemcpyDtoH_v2", into, address, size)
    return into.raw


def digests_of(runs):
    """sha256 of each; what is equal to the first, as it should be, is not counted again."""
    first = hashlib.sha256(runs[0]).hexdigest()
    return [first if run == runs[0] else hashlib.sha256(run).hexdigest() for run in runs]


def odd_ones(digests, runs, where):
    """The runs that differ from the most frequent result, and on which multiprocessors."""
    usual = digests.index(collections.Counter(digests).most_common(1)[0][0])
    found = []
    for place, run in enumerate(runs):
        if digests[place] != digests[usual]:
            blocks = [block for block in range(GRID) if part(run, block) != part(runs[usual], block)]
            units = sorted({where[place][block] for block in blocks})
            found.append({"run": place, "blocks": len(blocks), "units": units[:8]})
    return found


def part(run, block):
    """What the threads of one block computed."""
    return run[4 * BLOCK * block : 4 * BLOCK * (block + 1)]


def unlike_the_cpu(run, kernel, rounds, seed):
    compute = {"integers": integers, "floats": floats}[kernel]
    found = []
    for thread in SAMPLES:
        (word,) = struct.unpack_from("<I", run, 4 * thread)
        expected = compute(thread, rounds, seed)
        if word != expected:
            found.append({"thread": thread, "expected": expected, "found": word})
    return found


def integers(thread, rounds, seed):
    """What the kernel of this name computes in one thread; see kernels.ptx."""
    x = seed ^ thread
    for _ in range(rounds):
        x = x * 1664525 + 1013904223 & MASK
        x ^= x >> 15
        x = x + (x * 0x9E3779B9 >> 32) & MASK
    return x


def floats(thread, rounds, seed):
    """The same for floats, exactly: a value is m x 2^-s, rounded to nearest and even after each operation, as IEEE 754 says."""
    (x,) = struct.unpack("<f", struct.pack("<I", ((seed ^ thread) * 0x9E3779B9 & MASK) >> 9 | 0x3F800000))
    m, s = rounded(*added(scaled(x), scaled(-16777215 / 16777216)))
    m, s = rounded(*multiplied((m, s), scaled(16777214 / 16777216)))
    factor = scaled(struct.unpack("<f", struct.pack("<I", 0x407F5C29))[0])
    for _ in range(rounds):
        m, s = rounded((m << s) - m * m, 2 * s)
        m, s = rounded(*multiplied((m, s), factor))
    return struct.unpack("<I", struct.pack("<f", m / 2**s))[0]


def scaled(value):
    numerator, denominator = value.as_integer_ratio()
    return numerator, denominator.bit_length() - 1


def added(one, other):
    scale = max(one[1], other[1])
    return (one[0] << scale - one[1]) + (other[0] << scale - other[1]), scale


def multiplied(one, other):
    return one[0] * other[0], one[1] + other[1]


def rounded(m, s):
    """To as many bits as a float32 has; results here are far from the smallest ones."""
    excess = m.bit_length() - MANTISSA
    if excess <= 0:
        return m, s
    half, rest = 1 << excess - 1, m & (1 << excess) - 1
    m >>= excess
    if rest > half or (rest == half and m & 1):
        m += 1
    return m, s - excess
