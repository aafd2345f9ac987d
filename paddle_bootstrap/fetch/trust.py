"""Whose certificate counts: the mirror's own, those that a variable names, the host's; or nobody's, where the user says so."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.mirrors.model import Mirror

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def named_certificates(mirror: Mirror, environ: Mapping[str, str]) -> str:
    """The certificates that stand in for the host's own; nothing where none do."""
    return mirror.certificate or next((environ[name] for name in _VARIABLES if environ.get(name)), "")


def checked(mirror: Mirror, environ: Mapping[str, str]) -> ssl.SSLContext:
    """What a mirror's connections trust. Raises MirrorFailure."""
    named = named_certificates(mirror, environ)
    try:
        if named and Path(named).expanduser().is_dir():
            return ssl.create_default_context(capath=str(Path(named).expanduser()))
        return ssl.create_default_context(cafile=str(Path(named).expanduser()) if named else None)
    except (OSError, ssl.SSLError) as error:
        raise MirrorFailure("unreachable", f"its certificates cannot be read: {named}") from error


def unchecked() -> ssl.SSLContext:
    """For a host of --trusted-host: the bytes are compared with the lock all the same."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_trusted(url: str, trusted: Sequence[str]) -> bool:
    """It is https, and its host, or its host and port, is named by --trusted-host."""
    parts = urlsplit(url)
    return parts.scheme == "https" and is_named(parts.hostname or "", parts.port or 443, trusted)


def is_named(host: str, port: int, trusted: Sequence[str]) -> bool:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return any(name.lower() in (host, place) for name in trusted)
