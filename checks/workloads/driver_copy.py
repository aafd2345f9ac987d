"""Copies by the driver alone, timed by the card's own clock, and what arrived compared word by word on a card.

GB/s are 10^9 bytes. Every function takes CUDA ordinals and says {"error": ...} where the driver does (libcuda.told).
"""

import ctypes
import os
import statistics
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from libcuda import ALREADY_ENABLED, NATIVE_ATOMICS, PERFORMANCE_RANK, Card, CudaError, c_int, call, got, told
from numa import near
from patterns import GRAIN, HASH, compared, fill

LARGEST = 1 << 30  # bytes of one copy: beyond what any cache holds
TIMES, SECONDS = 15, 1.0  # copies that are timed, or until that many seconds are over
WARM_TIMES, WARM_SECONDS = 300, 0.3  # clocks and links need a moment to leave their resting state


@told
def device(device, largest=LARGEST):
    """From the card's memory to the card's memory: {"gbs": read and written, median, "bytes", "wrong", "first", "bits"}."""
    with Card(device) as card:
        size = part_of(card.free()[0] // 4, largest)
        source, target = card.memory(size), empty(card, size)
        pattern = (HASH, 1 + device)
        fill(card, source, size, pattern)
        rate = speed(card, lambda: call("cuMemcpyDtoDAsync_v2", target, source, size, None), 2 * size)
        return dict(compared(card, [(target, size)], pattern), gbs=rate, bytes=size)


@told
def host(device, largest=LARGEST // 4):
    """Between pinned memory near the card and the card: {"to_device", "to_host": GB/s, "near": where, "wrong", ...}.

    What is compared went from the card to the host and back.
    """
    with Card(device) as card, near(card.address()) as place:
        size = part_of(card.free()[0] // 4, largest)
        source, target, between = card.memory(size), empty(card, size), card.pinned(size)
        ctypes.memset(between, 0, size)
        pattern = (HASH, 2 + device)
        fill(card, source, size, pattern)
        down = speed(card, lambda: call("cuMemcpyDtoHAsync_v2", between, source, size, None), size)
        up = speed(card, lambda: call("cuMemcpyHtoDAsync_v2", target, between, size, None), size)
        told = compared(card, [(target, size)], pattern)
        return dict(told, to_device=up, to_host=down, bytes=size, near=place)


@told
def keep(device, seconds, largest=LARGEST // 16):
    """Copy to the card and back for ``seconds``, so that the link can be watched: {"gbs": both ways in turn, "bytes"}."""
    with Card(device) as card, near(card.address()):
        size = part_of(card.free()[0] // 4, largest)
        there, here = card.memory(size), card.pinned(size)
        moved, began = 0, time.monotonic()
        while moved == 0 or time.monotonic() < began + seconds:
            call("cuMemcpyHtoDAsync_v2", there, here, size, None)
            call("cuMemcpyDtoHAsync_v2", here, there, size, None)
            card.wait()
            moved += 2 * size
        return {"gbs": moved / (time.monotonic() - began) / 1e9, "bytes": size}


@told
def onward(device, ring, step, largest=LARGEST // 4):
    """From this card to the one ``step`` places on in ``ring``: so all cards copy at once, and no two to the same.

    {"peer": its ordinal, "access": whether it is written directly (else through the host), "nvlink": whether over NVLink,
    "rank": how good the driver calls the way, or None, "gbs", "bytes", "wrong", "first", "bits": as the other card reads it}
    """
    peer = ring[(ring.index(device) + step) % len(ring)]
    with Card(peer) as there, Card(device) as here:
        access = bool(got("cuDeviceCanAccessPeer", c_int, here.device, there.device).value)
        nvlink = access and bool(way(NATIVE_ATOMICS, here, there))
        rank = way(PERFORMANCE_RANK, here, there) if access else None
        if access:
            enable(there)
        size = part_of(here.free()[0] // 4, largest)
        source = here.memory(size)
        there.use()
        size = part_of(min(size, there.free()[0] // 4), largest)
        target = empty(there, size)
        here.use()
        pattern = (HASH, 3 + device * len(ring) + peer)
        fill(here, source, size, pattern)
        rate = speed(
            here, lambda: call("cuMemcpyPeerAsync", target, there.context, source, here.context, size, None), size
        )
        there.use()
        told = compared(there, [(target, size)], pattern)
        here.use()
        return dict(told, peer=peer, access=access, nvlink=nvlink, rank=rank, gbs=rate, bytes=size)


def way(attribute, here, there):
    """What the driver tells of the way from one card to another."""
    return got("cuDeviceGetP2PAttribute", c_int, attribute, here.device, there.device).value


def enable(peer):
    """Let the current card write to ``peer``; that it may already is no error."""
    try:
        call("cuCtxEnablePeerAccess", peer.context, 0)
    except CudaError as error:
        if error.code != ALREADY_ENABLED:
            raise


def empty(card, size):
    """Memory that does not still hold what an earlier copy brought."""
    target = card.memory(size)
    call("cuMemsetD8_v2", target, 0, size)
    card.wait()
    return target


def speed(card, copy, moved):
    """GB/s, the median, of a copy that moves ``moved`` bytes."""
    card.timed(copy, WARM_TIMES, WARM_SECONDS)
    return moved / statistics.median(card.timed(copy, TIMES, SECONDS)) / 1e9


def part_of(free, largest):
    return max(min(free, largest) // GRAIN, 1) * GRAIN
