"""A real nginx over a folder, as an ordinary user, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {state}/pid;
error_log {state}/error.log;
events {{ worker_connections 64; }}
http {{
    types {{ text/html html; }}
    default_type application/octet-stream;
    sendfile on;
    access_log {state}/access.log;
    client_body_temp_path {state}/a; proxy_temp_path {state}/b; fastcgi_temp_path {state}/c;
    uwsgi_temp_path {state}/d; scgi_temp_path {state}/e;
    server {{ listen 127.0.0.1:{port}; root {site}; {extra} }}
}}
"""


def program() -> str | None:
    """nginx, which Debian keeps out of an ordinary user's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx(site: Path, state: Path, extra: str = "") -> Iterator[str]:
    """Serves ``site`` at the address it yields; logs and temporary files are in ``state``."""
    command, port = program(), free_port()
    assert command
    state.mkdir(parents=True)
    settings = state / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker may not read what pytest made
    settings.write_text(CONFIGURATION.format(user=user, state=state, site=site, port=port, extra=extra))
    with subprocess.Popen([command, "-c", settings, "-e", state / "error.log"], stderr=subprocess.PIPE) as server:
        try:
            _wait(server, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            assert server.poll() is None, server.stderr and server.stderr.read().decode()
            time.sleep(0.01)
    raise TimeoutError("nginx does not answer")
