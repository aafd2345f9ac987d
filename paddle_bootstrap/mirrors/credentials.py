"""Credentials that the user keeps elsewhere: netrc, and the ``keyring`` command that pip and uv ask too."""

from __future__ import annotations

import netrc
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors.model import Credentials

KEYRING_DEADLINE = 30.0  # seconds; a keyring may ask its own daemon, never the user


def from_netrc(url: str, environ: Mapping[str, str]) -> Credentials | None:
    """What ~/.netrc (or NETRC) holds for the host of ``url``."""
    path = Path(environ.get("NETRC") or Path(environ.get("HOME", "/")) / ".netrc")
    try:
        entry = netrc.netrc(str(path)).authenticators(urlsplit(url).hostname or "")
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError) as error:
        progress.warn(f"{path} is not used: {type(error).__name__}")
        return None
    return Credentials(entry[0], entry[2] or "") if entry else None


def from_keyring(url: str, environ: Mapping[str, str]) -> Credentials | None:
    """What the ``keyring`` command, if there is one, holds for the address or its host."""
    command = shutil.which("keyring", path=environ.get("PATH"))
    parts = urlsplit(url)
    if command is None or not parts.hostname:
        return None
    for service in (f"{parts.scheme}://{parts.netloc}{parts.path}", parts.netloc):
        arguments = [command, "--mode", "creds", "--output", "json", "get", service]
        try:
            done = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=KEYRING_DEADLINE, env=dict(environ), check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode == 0 and (found := _parsed(done.stdout)):
            return found
    return None


def _parsed(text: str) -> Credentials | None:
    import json

    try:
        told = json.loads(text)
        return Credentials(told["username"], told["password"])
    except (ValueError, KeyError, TypeError):
        return None
