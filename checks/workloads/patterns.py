"""What each word of a piece of memory shall hold, written and compared by the card itself: kernels.ptx, said again in Python.

A pattern is a pair: kind and seed. Kind 0 is the seed in each word; 1 the word's number, folded to 32 bits; 2 a hash of the
word's number and the seed.
"""

import ctypes
import os
import struct
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from libcuda import call

CONSTANT, NUMBER, HASH = 0, 1, 2
WORD = 4
GRAIN = 16  # bytes: a kernel writes four words at a time
REPORT = struct.Struct("<QQII")
CLEAN = REPORT.pack(0, 2**64 - 1, 0, 0)
MASK = 0xFFFFFFFF


def value(number, kind, seed):
    """What the word with this number shall hold."""
    if kind == CONSTANT:
        return seed
    word = number & MASK ^ (number >> 32) * 0x9E3779B9 & MASK
    if kind == NUMBER:
        return word
    word = word + seed & MASK  # the finish of MurmurHash3
    word = (word ^ word >> 16) * 0x85EBCA6B & MASK
    word = (word ^ word >> 13) * 0xC2B2AE35 & MASK
    return word ^ word >> 16


def fill(card, address, size, pattern, number=0):
    """Write ``pattern`` to ``size`` bytes at ``address``; ``number`` is that of the first word."""
    card.launch("fill", *described(address, size, pattern, number))


def described(address, size, pattern, number):
    words = [ctypes.c_ulonglong(each) for each in (address, size // WORD, number)]
    return words + [ctypes.c_uint(each) for each in pattern]


def reports_for(card, pieces):
    """Memory for what the kernel says of so many pieces."""
    return card.memory(REPORT.size * pieces)


def compared(card, pieces, pattern, number=0, reports=None):
    """How [(address, size), ...], numbered through, differs from ``pattern``: {"wrong": words, "bits": mask, "first": ...}.

    first: {"offset": bytes from the beginning of all, "expected": value, "found": value}, None where nothing differs.
    ``reports``: memory for them, where little may be left.
    """
    reports = reports or reports_for(card, len(pieces))
    call("cuMemcpyHtoD_v2", reports, CLEAN * len(pieces), REPORT.size * len(pieces))
    first = number
    for place, (address, size) in enumerate(pieces):
        report = ctypes.c_ulonglong(reports + REPORT.size * place)
        card.launch("verify", *described(address, size, pattern, first), report)
        first += size // WORD
    card.wait()
    read = ctypes.create_string_buffer(REPORT.size * len(pieces))
    call("cuMemcpyDtoH_v2", read, reports, len(read))
    return summed(list(REPORT.iter_unpack(read.raw)), [size for _, size in pieces], pattern, number)


def summed(reports, sizes, pattern, number):
    """One answer for all pieces."""
    told = {"wrong": sum(count for count, _, _, _ in reports), "bits": 0, "first": None}
    offset = 0
    for place, (count, packed, bits, _) in enumerate(reports):
        told["bits"] |= bits
        if count and told["first"] is None:
            at = offset + (packed >> 32) * WORD
            expected = value(number + at // WORD, *pattern)
            told["first"] = {"offset": at, "expected": expected, "found": packed & MASK}
        offset += sizes[place]
    return told
