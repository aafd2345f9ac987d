"""Which mirrors this run may use, in which order."""

from __future__ import annotations

import difflib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors import user_settings
from paddle_bootstrap.mirrors.model import Kind, Mirror
from paddle_bootstrap.mirrors.redact import redact, split_credentials

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OFFICIAL = "official"
_TABLE = Path(__file__).with_name("mirrors.toml")


def shipped() -> tuple[Mirror, ...]:
    """The rows of mirrors.toml."""
    return tuple(Mirror(**row) for row in tomllib.loads(_TABLE.read_text(encoding="utf-8"))["mirror"])


@functools.cache
def official_index() -> str:
    """The index that uv uses when nothing is configured: its own constant, asked of it offline."""
    command = [find_uv_bin(), "pip", "compile", "--no-config", "--offline", "--quiet", "--emit-index-url", "-"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True, env=environ)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("--index-url")).rstrip("/")


def official() -> Mirror:
    """The official index."""
    return Mirror(OFFICIAL, official_index(), note="the Python Package Index")


def configured(wanted: Sequence[str], environ: Mapping[str, str], *, cwd: Path) -> tuple[Mirror, ...]:
    """The mirrors named by ``--mirror`` and only those; else the user's own settings, the official index, the table's rows.

    Raises UsageError for a name that nothing has.
    """
    if wanted:
        return tuple(_named(item) for item in wanted)
    user = (_of_user(setting, cwd) for setting in user_settings.read(environ, cwd))
    return tuple(_distinct((*user, official(), *shipped())))


def _named(wanted: str) -> Mirror:
    if "://" in wanted:
        return _at(wanted, redact(wanted), "simple")
    known = {mirror.name.lower(): mirror for mirror in shipped()}
    if wanted.lower() == OFFICIAL:
        return official()
    if wanted.lower() in known:
        return known[wanted.lower()]
    names = [OFFICIAL, *(mirror.name for mirror in known.values())]
    near = difflib.get_close_matches(wanted.lower(), [name.lower() for name in names], n=1)
    meant = f"did you mean {next(name for name in names if name.lower() == near[0])}? " if near else ""
    raise UsageError(f"unknown mirror: {wanted}", hint=f"{meant}known: {', '.join(names)}; or give a URL")


def _of_user(setting: user_settings.Setting, cwd: Path) -> Mirror:
    url = setting.url
    if "://" not in url:  # find-links may be a folder
        url = (cwd / Path(url).expanduser()).as_uri()
    mirror = _at(url, redact(url), setting.kind, note=setting.origin)
    return Mirror(
        mirror.name,
        mirror.url,
        mirror.kind,
        note=mirror.note,
        certificate=setting.certificate,
        proxy=setting.proxy,
        credentials=mirror.credentials,
    )


def _at(url: str, name: str, kind: Kind, note: str = "") -> Mirror:
    bare, credentials = split_credentials(url)
    if not bare.startswith(("https://", "http://", "file://")):
        raise UsageError(f"not a mirror address: {redact(url)}", hint="give an https://, http:// or file:// URL")
    return Mirror(name, bare.rstrip("/"), kind, note=note, credentials=credentials)


def _distinct(mirrors: Sequence[Mirror]) -> Iterator[Mirror]:
    seen: set[str] = set()
    for mirror in mirrors:
        if mirror.url.rstrip("/") not in seen:
            seen.add(mirror.url.rstrip("/"))
            yield mirror
