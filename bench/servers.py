"""The mirrors of one scenario, running, each on an address of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.faulty import COUNTER
from bench.scenarios import Fault, Mirror
from bench.wheels import RealWheel
from tests.fakes.nginx import free_port, nginx

LOGGED = re.compile(rb'"GET \S+\.whl HTTP/[\d.]+" 20[06] (\d+)')


@dataclass(frozen=True)
class Running:
    """One mirror as a client sees it; ``served``, ``lied``: bytes of wheels sent so far, and how many of them were wrong."""

    root: str
    served: Callable[[], int]
    lied: Callable[[], int] = lambda: 0

    @property
    def index(self) -> str:
        return f"{self.root}/simple"


@contextlib.contextmanager
def serving(mirrors: Sequence[Mirror], wheel: RealWheel, folder: Path, net: str) -> Iterator[list[Running]]:
    """All ``mirrors`` with ``wheel``, at ``net``.2 and so on; logs and certificates are in ``folder``."""
    folder.mkdir(parents=True)
    site = wheel.site(folder / "site")
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(_serving(mirror, f"{net}.{number}", site, folder / str(number)))
            for number, mirror in enumerate(mirrors, start=2)
        ]


@contextlib.contextmanager
def _serving(mirror: Mirror, host: str, site: Path, state: Path) -> Iterator[Running]:
    port = free_port()
    if mirror.dead:
        yield Running(f"http://{host}:{port}", lambda: 0)
    elif mirror.fault is not None:
        with _faulty(mirror.fault, host, port, site, state) as counted:
            yield Running(f"http://{host}:{port}", lambda: counted()[0], lambda: counted()[1])
    else:
        tls = "ssl" if mirror.tls else ""
        extra = [f"listen {host}:{port} {tls};", f"limit_rate {mirror.rate or 0};"]
        if mirror.tls:
            certificate, key = make_certificate(state.with_name("tls"), host)
            extra += [f"ssl_certificate {certificate};", f"ssl_certificate_key {key};"]
        with nginx(site, state, " ".join(extra)):
            yield Running(f"http{'s' if tls else ''}://{host}:{port}", lambda: _logged(state / "access.log"))


def _logged(log: Path) -> int:
    """nginx writes a line when a response ends: wait until it has said all."""
    before = -1
    while before != (size := log.stat().st_size):
        before = size
        time.sleep(0.3)
    return sum(int(line[1]) for line in LOGGED.finditer(log.read_bytes()))


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate for ``host`` and its key, signed by an authority made for the run: ca.pem in ``folder``.

    One that signs itself would do for most tools, but not for uv, which takes no authority as a server.
    """
    folder.mkdir(exist_ok=True)
    authority, certificate, key = folder / "ca", folder / f"{host}.pem", folder / f"{host}.key"
    if not authority.with_suffix(".pem").exists():
        _openssl(authority.with_suffix(".pem"), authority.with_suffix(".key"), "-subj", "/CN=bench")
    signed = ["-CA", str(authority.with_suffix(".pem")), "-CAkey", str(authority.with_suffix(".key"))]
    server = ["-addext", f"subjectAltName=IP:{host}", "-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(certificate, key, "-subj", f"/CN={host}", *signed, *server)
    return certificate, key


def _openssl(certificate: Path, key: Path, *words: str) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *words], check=True, capture_output=True)


@contextlib.contextmanager
def _faulty(fault: Fault, host: str, port: int, site: Path, state: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    state.mkdir(parents=True)
    counter = state / "counter"
    counter.write_bytes(bytes(COUNTER.size))
    told = {"host": host, "port": port, "site": str(site), "counter": str(counter)}
    told_json = json.dumps({**told, "fault": dataclasses.asdict(fault)})
    with subprocess.Popen([sys.executable, "-m", "bench.faulty", told_json]) as server:
        try:
            _wait(server, host, port)
            yield lambda: COUNTER.unpack(counter.read_bytes())  # type: ignore[return-value]  # two integers
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, port), timeout=1):
            return
        if server.poll() is not None:
            raise RuntimeError(f"the fault server ended with {server.returncode}")
        time.sleep(0.02)
    raise TimeoutError("the fault server does not answer")
