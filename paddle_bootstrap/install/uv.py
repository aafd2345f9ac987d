"""uv makes environments, and installs interpreters."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from paddle_bootstrap.errors import InstallFailed, NoMirrorServes, NoSpace, WrongBytes
from paddle_bootstrap.host.python_places import uv_folder
from paddle_bootstrap.install import child
from paddle_bootstrap.mirrors.credentials import Login, named_by
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.surroundings import neutral

_LISTING = "UV_PYTHON_DOWNLOADS_JSON_URL"  # a site's own list of interpreters instead of uv's: the user's word counts
_SECONDS = 60.0  # to list what there is; uv knows it by heart, a site's list comes over the network


@dataclass(frozen=True)
class Offer:
    """A CPython that uv can install: uv knows its address and its sha256."""

    version: str
    path: Path  # of its program, once installed


def make_environment(path: Path, python: str, environ: Mapping[str, str]) -> None:
    """A new virtual environment of the interpreter ``python``; ``path`` is missing or an empty directory."""
    told = _run(
        ["venv", "--quiet", "--no-project", "--no-cache", "--allow-existing", "--python", python, str(path)],
        {**neutral(environ), "UV_PYTHON_DOWNLOADS": "never"},
    )
    if told is None:
        return
    _require_room(told, path)
    raise InstallFailed(f"uv venv failed: {told}")


def offered(version: str, environ: Mapping[str, str]) -> Offer | None:
    """The newest CPython of ``version`` ("3.12", "3.12.4") that uv knows for this host; None: it knows none."""
    command = ["python", "list", "--only-downloads", "--output-format", "json", version]
    try:
        done = subprocess.run(
            [find_uv_bin(), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**_listing(environ), "UV_NO_CONFIG": "1"},
            check=True,
        )
        listed = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    here = {"implementation": "cpython", "variant": "default", "arch": platform.machine(), "libc": "gnu"}
    for row in listed:
        if all(row.get(key) == value for key, value in here.items()):
            minor = ".".join(row["version"].split(".")[:2])
            return Offer(row["version"], uv_folder(environ) / row["key"] / "bin" / f"python{minor}")
    return None


def install_python(version: str, mirrors: Sequence[Mirror], environ: Mapping[str, str]) -> None:
    """Install the CPython ``version`` from the first of ``mirrors`` that can serve it; uv holds it against its sha256.

    Raises NoMirrorServes, or WrongBytes when every answer was another file.
    """
    folder = uv_folder(environ)
    command = ["python", "install", "--no-progress", "--no-bin", "--no-cache", "--install-dir", str(folder), version]
    tried: dict[str, str] = {}
    for mirror in mirrors:
        login = _login(mirror, environ)
        told = _run(command, {**_listing(environ), **_through(mirror, login)})
        if told is None:
            return
        told = " ".join((login.hidden(told) if login else told).split())
        _require_room(told, folder)
        tried[mirror.redacted] = told
    wrong = all("Hash mismatch" in told for told in tried.values())
    raise (WrongBytes if wrong else NoMirrorServes)(
        f"Python {version} could not be had from {len(tried)} mirror{'s' if len(tried) > 1 else ''} of interpreters",
        tried=[f"{name}: {told}" for name, told in tried.items()],
        hint="give a Python of this host with --python PATH, or another mirror: paddle-bootstrap mirror use NAME",
    )


def _run(words: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """None when uv did it, else what it said, the end of it."""
    own = {"UV_NO_CONFIG": "1", "NO_COLOR": "1"}
    with child.start([find_uv_bin(), *words], {**environ, **own}) as process:
        try:
            told = process.communicate()[1].strip()[-2000:]
        except BaseException:
            process.kill()
            raise
    return None if process.returncode == 0 else told or f"exit code {process.returncode}"


def _require_room(told: str, path: Path) -> None:
    if any(sign in told for sign in ("No space left", "os error 28", "os error 122")):
        raise NoSpace(f"no room left while making {path}: {told}", hint="free some space and run the command again")


def _listing(environ: Mapping[str, str]) -> dict[str, str]:
    own = {_LISTING: environ[_LISTING]} if environ.get(_LISTING) else {}
    return {**neutral(environ), **own, "UV_PYTHON_INSTALL_DIR": str(uv_folder(environ))}


def _login(mirror: Mirror, environ: Mapping[str, str]) -> Login | None:
    """What its address or its table says; a netrc is read by uv itself."""
    if mirror.auth in ("", "netrc"):
        return mirror.login
    return named_by(mirror.auth, mirror.url, mirror.login.user if mirror.login else None, environ)


def _through(mirror: Mirror, login: Login | None) -> dict[str, str]:
    """How uv reaches ``mirror``. Secrets are in the environment, which only this user can read, not among the arguments."""
    address = login.in_front_of(mirror.url) if login else mirror.url
    found = {"UV_PYTHON_INSTALL_MIRROR": address, "UV_PYTHON_DOWNLOADS": "automatic", "UV_HTTP_RETRIES": "1"}
    if mirror.certificate:
        found["SSL_CERT_DIR" if os.path.isdir(mirror.certificate) else "SSL_CERT_FILE"] = mirror.certificate  # noqa: PTH112
    if mirror.proxy:
        through = mirror.proxy_login.in_front_of(mirror.proxy) if mirror.proxy_login else mirror.proxy
        found |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), through)
    return found
