"""Every word of the free memory written and read again, with patterns that make weak cells and crossed address lines show."""

import os
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from libcuda import Card, told
from patterns import CONSTANT, HASH, NUMBER, WORD, compared, fill, reports_for

PATTERNS = {
    "0x00000000": (CONSTANT, 0),
    "0xFFFFFFFF": (CONSTANT, 0xFFFFFFFF),
    "0xAAAAAAAA": (CONSTANT, 0xAAAAAAAA),
    "0x55555555": (CONSTANT, 0x55555555),
    "address": (NUMBER, 0),
    "random": (HASH, 0),  # with a seed of the caller's
}
CHUNK = 1 << 30  # bytes of one allocation: memory that others hold may lie in pieces
LEAST = 1 << 20  # bytes: smaller holes are left alone
MOST = 2048  # pieces


@told
def words(device, share, patterns, seed=0):
    """Fill ``share`` of the free memory with each pattern, and only then compare it.

    {"free", "total", "wanted", "bytes": of memory, "patterns": {name: {"wrong", "first", "bits", "seconds"}}}; after a
    pattern that came back wrong the others are still tried. First offsets count from the beginning of what was had.
    """
    with Card(device) as card:
        free, total = card.free()
        wanted = int(free * share) // LEAST * LEAST
        reports = reports_for(card, MOST)
        pieces = card.most(wanted, CHUNK, LEAST)[:MOST]
        size = sum(size for _, size in pieces)
        chosen = patterns if size else []
        found = {name: tried(card, pieces, seeded(PATTERNS[name], seed), reports) for name in chosen}
        return {"free": free, "total": total, "wanted": wanted, "bytes": size, "patterns": found}


def seeded(pattern, seed):
    return (HASH, seed) if pattern[0] == HASH else pattern


def tried(card, pieces, pattern, reports):
    began, number = time.monotonic(), 0
    for address, size in pieces:
        fill(card, address, size, pattern, number)
        number += size // WORD
    told = compared(card, pieces, pattern, reports=reports)
    return dict(told, seconds=time.monotonic() - began)
