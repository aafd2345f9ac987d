"""Carries packets between two TUN devices, late or not at all; a process of its own.

python -m bench.relay DELAY LOSS NEAR FAR: seconds each way, share of packets lost, open files of the devices.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import select
import sys
import time

PACKET = 65536  # bytes, at most
BATCH = 64  # packets read from one side before the other gets its turn


def carry(delay: float, loss: float, near: int, far: int) -> None:
    """Never returns. Every packet is late by the same time, so they stay in order."""
    lots = random.Random(4)
    waiting: collections.deque[tuple[float, int, bytes]] = collections.deque()
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([near, far], [], [], left)
        for side in ready:
            for packet in _read(side):
                if lots.random() >= loss:
                    waiting.append((time.monotonic() + delay, far if side == near else near, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, side, packet = waiting.popleft()
            with contextlib.suppress(BlockingIOError):  # a full device drops it, as a line would
                os.write(side, packet)


def _read(side: int) -> list[bytes]:
    packets: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while len(packets) < BATCH:
            packets.append(os.read(side, PACKET))
    return packets


if __name__ == "__main__":
    carry(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
