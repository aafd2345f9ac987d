"""What a mirror is for pip and uv: the one index they ask, or a reason why it must not be that."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors.model import Mirror

CONFUSION = (
    "extra-index-url asks every index for every name and takes the highest version, of equal ones the last listed: "
    "whoever can publish on one index can supply any package"
)


def require_index(mirror: Mirror) -> None:
    """Raises UsageError for a mirror that cannot stand as the index of pip and uv."""
    name = mirror.name
    if mirror.holds == "python":
        raise UsageError(f"{name} holds uv's interpreters, no packages", hint=f"paddle-bootstrap mirror use {name}")
    if mirror.folder_per_build or mirror.holds == "paddle":
        raise UsageError(
            f"{name} holds Paddle's wheels alone: as the index of pip or uv every other package would be missing, "
            f"and beside one it brings dependency confusion ({CONFUSION})",
            hint=f"the lock says what is installed, from any mirror: paddle-bootstrap up --mirror {name}",
        )
    if mirror.kind != "simple":
        raise UsageError(
            f"{name} lists files, it is no index", hint=f"use it for a run: paddle-bootstrap up --mirror {mirror.url}"
        )


def is_open(mirror: Mirror) -> bool:
    """Plain http to another host: pip wants it named in trusted-host, and a password would travel in clear."""
    parts = urlsplit(mirror.url)
    if parts.scheme != "http":
        return False
    host = parts.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def require_private_login(mirror: Mirror) -> None:
    """Raises UsageError for credentials that would travel in clear."""
    if is_open(mirror) and mirror.login:
        raise UsageError(
            f"{mirror.name}: a password over http can be read by everybody on the way", hint="use its https address"
        )


def host_of(mirror: Mirror) -> str:
    """Host and, if it has one, port, as trusted-host wants them."""
    return urlsplit(mirror.url).netloc


def login_advice(mirror: Mirror, environ_home: Path) -> str:
    return (
        f"its credentials are not printed; put them into {environ_home / '.netrc'} (mode 600): "
        f"machine {urlsplit(mirror.url).hostname} login USER password PASSWORD"
    )


def variables(mirror: Mirror) -> dict[str, str]:
    """What pip and uv are told by variables. No credentials: they would stand in shell histories and process lists."""
    if mirror.holds == "python":
        return {"UV_PYTHON_INSTALL_MIRROR": mirror.url}
    require_index(mirror)
    found = {"PIP_INDEX_URL": mirror.url, "UV_DEFAULT_INDEX": mirror.url}
    if is_open(mirror):
        found["PIP_TRUSTED_HOST"] = host_of(mirror)
    if mirror.certificate:
        found |= {"PIP_CERT": mirror.certificate, "SSL_CERT_FILE": mirror.certificate}
    return found


def pip_arguments(mirror: Mirror) -> list[str]:
    """The arguments that make one pip command ask ``mirror`` alone."""
    require_index(mirror)
    words = ["--index-url", mirror.url]
    words += ["--trusted-host", host_of(mirror)] if is_open(mirror) else []
    return words + (["--cert", mirror.certificate] if mirror.certificate else [])
