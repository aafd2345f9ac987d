"""Which blocks of a wheel are on the disk, beside the partial file, so that the next run asks for no byte twice.

SHA256.map: one line of JSON (what it is about), then one byte for each block:
    0  missing      1  written, in this boot of the machine      2  written and flushed

Order makes it true after any end. A block's byte is set to 1 after the block was written: when the process is killed, both are
in the page cache. It is set to 2 after the file was flushed: when the machine loses power, 1 is not believed, since the
machine has booted again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

BLOCK = 128 * 1024  # bytes
WRITTEN, FLUSHED = 1, 2
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """This boot of the machine; where the kernel does not tell, a value that no other process has."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process {os.getpid()}"


class BlockMap:
    """The map of one partial file of ``size`` bytes. One writer at a time."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.count = -(-size // BLOCK)
        self._about = {"size": size, "block": BLOCK, "boot": boot()}
        self.states = self._read() or bytearray(self.count)
        self._turn = 0  # counts writes: a block that was written again meanwhile is another one
        self._written = {block: 0 for block, state in enumerate(self.states) if state == WRITTEN}
        head = json.dumps(self._about).encode() + b"\n"
        self._start = len(head)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.pwrite(self._descriptor, head + self.states, 0)  # at no moment is there an empty map
        os.ftruncate(self._descriptor, self._start + self.count)

    def record_written(self, block: int) -> None:
        """``block`` has been written to the partial file: for the next run. Needs no lock; ``set_written`` follows.

        A flush at the same moment may put the byte back to 0, until the next flush: then the map says too little.
        """
        os.pwrite(self._descriptor, bytes([WRITTEN]), self._start + block)

    def set_written(self, block: int) -> None:
        """``block`` has been written to the partial file: for this run."""
        self.states[block] = WRITTEN
        self._turn += 1
        self._written[block] = self._turn

    def forget(self, block: int) -> None:
        """``block`` is to be fetched again; said before it is written again."""
        self._put(block, 0)
        self._written.pop(block, None)

    def written(self) -> Mapping[int, int]:
        """Blocks that are not flushed yet, to hand to ``set_flushed`` after the partial file was."""
        return dict(self._written)

    def set_flushed(self, blocks: Mapping[int, int]) -> None:
        """``blocks`` were written before the partial file was flushed."""
        same = [block for block, turn in blocks.items() if self._written.get(block) == turn]
        for block in same:
            self.states[block] = FLUSHED
            del self._written[block]
        if same:
            first, last = min(same), max(same)
            os.pwrite(self._descriptor, self.states[first : last + 1], self._start + first)

    def close(self) -> None:
        os.close(self._descriptor)

    def _put(self, block: int, state: int) -> None:
        self.states[block] = state
        os.pwrite(self._descriptor, bytes([state]), self._start + block)

    def _read(self) -> bytearray | None:
        """What an earlier run left; None when that is nothing, or about another file."""
        try:
            head, _, states = self.path.read_bytes().partition(b"\n")
            about = json.loads(head)
        except (OSError, ValueError):
            return None
        if (
            not isinstance(about, dict)
            or len(states) != self.count
            or {**about, "boot": ""} != {**self._about, "boot": ""}
        ):
            return None
        believed = {FLUSHED, WRITTEN} if about.get("boot") == self._about["boot"] else {FLUSHED}
        return bytearray(state if state in believed else 0 for state in states)
