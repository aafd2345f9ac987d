"""Two network namespaces with a line between them that delays, loses or shapes packets: servers in one, tools in the other.

Needs root, `ip` and `tc`. The line is two TUN devices and a process of ours that carries packets across (relay.py): a
kernel without netem can do that too.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.scenarios import Network

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
QUEUE = "10000"  # packets: the line delays, its ends drop nothing on their own

Entering = Callable[[], contextlib.AbstractContextManager[None]]


def missing() -> str | None:
    """Why this host cannot do it; None: it can."""
    absent = [name for name in ("ip", "tc") if not shutil.which(name)]
    if os.geteuid() != 0:
        return "needs root"
    return f"needs {', '.join(absent)} (apt-get install iproute2)" if absent else None


@contextlib.contextmanager
def apart(network: Network) -> Iterator[Entering]:
    """This process is among the tools; what it yields enters the servers' side for as long as something is started there."""
    with contextlib.ExitStack() as stack:
        home = _opened(stack, _here())
        stack.callback(_enter, home)
        servers, far = (_opened(stack, file) for file in _side("10.77.0.2", network.tbf))
        tools, near = (_opened(stack, file) for file in _side("10.77.0.1", None))
        command = [sys.executable, "-m", "bench.relay", str(network.delay), str(network.loss), str(near), str(far)]
        relay = stack.enter_context(subprocess.Popen(command, pass_fds=(near, far)))
        stack.callback(relay.kill)
        yield lambda: _inside(servers, tools)


def _opened(stack: contextlib.ExitStack, file: int) -> int:
    stack.callback(os.close, file)
    return file


@contextlib.contextmanager
def _inside(there: int, back: int) -> Iterator[None]:
    _enter(there)
    try:
        yield
    finally:
        _enter(back)


def _side(address: str, tbf: str | None) -> tuple[int, int]:
    """A new namespace, which is entered, with one end of the line: the namespace, and the end, as open files."""
    _checked("unshare", CLONE_NEWNET)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN | IFF_NO_PI))
    _ip("link", "set", "lo", "up")
    _ip("address", "add", f"{address}/24", "dev", "line")
    _ip("link", "set", "line", "up", "txqueuelen", QUEUE)
    if tbf:
        subprocess.run(["tc", "qdisc", "add", "dev", "line", "root", "tbf", *tbf.split()], check=True)
    return _here(), tun


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _here() -> int:
    return os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)


def _enter(namespace: int) -> None:
    _checked("setns", namespace, CLONE_NEWNET)


def _checked(call: str, *words: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*words) != 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
