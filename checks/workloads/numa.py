"""Host memory near a card: this thread runs, and takes memory, on the card's NUMA node while it copies. Linux only."""

import contextlib
import ctypes
import os
import platform

PREFERRED, DEFAULT = 1, 0  # set_mempolicy(2); preferred: a full node gives no error but memory of another
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
NODES = 1024


def node_of(address):
    """The NUMA node of the PCI device; None where the kernel or the firmware does not tell."""
    try:
        with open(under("sys/bus/pci/devices/%s/numa_node" % address), encoding="ascii") as file:
            node = int(file.read())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def under(path):
    return os.path.join(os.environ.get("PADDLE_BOOTSTRAP_ROOTFS", "/"), path)


def processors_of(node):
    """The processors of a node: none where it has only memory, or does not tell."""
    try:
        with open(under("sys/devices/system/node/node%d/cpulist" % node), encoding="ascii") as file:
            parts = [part.split("-") for part in file.read().strip().split(",") if part]
        return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}
    except (OSError, ValueError):
        return set()


@contextlib.contextmanager
def near(address):
    """Work on the node of the PCI device at ``address``; gives {"node", "processors", "memory"}: what could be had.

    processors: how many of the node's own this process may use, 0: it stays where it is; None: it has none, or is not
    known. memory: whether the kernel took the wish; a container may forbid it.
    """
    node, before = node_of(address), os.sched_getaffinity(0)
    theirs = processors_of(node) if node is not None else set()
    mine = before & theirs
    if mine:
        os.sched_setaffinity(0, mine)
    wished = node is not None and prefer(node)
    try:
        yield {"node": node, "processors": len(mine) if theirs else None, "memory": wished}
    finally:
        if wished:
            prefer(None)
        if mine:
            os.sched_setaffinity(0, before)


def prefer(node):
    """Take this thread's memory from ``node``, None: as usual. Whether the kernel agreed."""
    number = SET_MEMPOLICY.get(platform.machine())
    if number is None or (node is not None and node >= NODES):
        return False
    mask = (ctypes.c_ulong * (NODES // 64))()
    if node is not None:
        mask[node // 64] = 1 << node % 64
    libc = ctypes.CDLL(None, use_errno=True)
    if node is None:
        return libc.syscall(number, DEFAULT, None, 0) == 0
    return libc.syscall(number, PREFERRED, mask, NODES) == 0
