"""Which mirrors to ask, and in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors import pip_settings, ranking, uv_settings
from paddle_bootstrap.mirrors.model import Holds, Kind, Mirror, identity, mirror_at
from paddle_bootstrap.mirrors.rows import Table, rows
from paddle_bootstrap.mirrors.user_settings import Entry, UserSettings, local_address

_HOST = re.compile(r"(?!\.)[\w-]*(?:\.[\w-]+)+(?::\d+)?(?:/|$)|[\w.-]+:\d+(?:/|$)")  # what looks like one


def configured(
    wanted: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    etc: Path = Path("/etc"),
    tables: Sequence[Table] = (),
) -> tuple[Mirror, ...]:
    """The mirrors in ``wanted`` alone; if empty: those of the user's pip and uv, then the rows that hold wheels.

    ``tables`` are the user's ``[[mirror]]``. Rows of the same priority come in the order of a fresh ranking. The user's
    certificate and proxy count for every mirror that has none of its own. Where the user's settings forbid indexes, public
    ones are left out too. Raises UsageError for a name nobody knows.
    """
    pip, uv = pip_settings.read(environ, cwd, etc), uv_settings.read(environ, cwd, etc)
    for settings in (pip, uv):
        if settings.unchecked:
            progress.warn(f"{settings.unchecked} is ignored: certificates are always checked; name yours with cert")
    if wanted:
        found = [_of_wheels(named(item, cwd, tables)) for item in wanted]
    else:
        found = [*_of_user(pip), *_of_user(uv)]
        if pip.no_index or uv.no_index:
            progress.note("no-index is set for pip or uv: only their find-links are asked; --mirror NAME asks others")
        else:
            found += ranking.ordered([mirror for mirror in rows(tables) if mirror.holds != "python"], environ)
    return tuple(_with_transport(mirror, pip) for mirror in _distinct(found))


def origins(
    holds: Holds, environ: Mapping[str, str], *, cwd: Path, etc: Path = Path("/etc"), tables: Sequence[Table] = ()
) -> tuple[Mirror, ...]:
    """The rows whose word a lock believes. The user's certificate and proxy count for them too."""
    pip = pip_settings.read(environ, cwd, etc)
    return tuple(_with_transport(row, pip) for row in rows(tables) if row.origin and row.holds == holds)


def named(wanted: str, cwd: Path, tables: Sequence[Table] = ()) -> Mirror:
    """A row's name, an address, or a local folder. An address that ends in .html lists files; others are indexes."""
    if "://" in wanted or wanted.startswith("file:"):
        if not wanted.startswith(("https://", "http://", "file:")):
            raise UsageError(
                f"--mirror: unknown kind of address: {wanted.partition(':')[0]}:", hint="use https, http or file"
            )
        kind: Kind = "find-links" if wanted.endswith((".html", ".htm")) else "simple"
        return mirror_at(wanted, kind=kind, note="named", source="as named")
    if all(table["name"] != wanted.lower() for table in tables):  # a name may look like a host's
        _require_scheme(wanted, cwd)
    if "/" in wanted or wanted.startswith("."):
        return mirror_at(local_address(wanted, cwd), note="named", source="as named")
    known_rows = {mirror.name.lower(): mirror for mirror in rows(tables)}
    if wanted.lower() in known_rows:
        return known_rows[wanted.lower()]
    from difflib import get_close_matches  # slow to import, and seldom needed

    near = get_close_matches(wanted.lower(), known_rows, n=3, cutoff=0.4)
    known = f"known mirrors: {', '.join(known_rows)}; or give an address: https://HOST/simple"
    raise UsageError(
        f"unknown mirror: {wanted!r}", hint=f"did you mean {' or '.join(near)}? {known}" if near else known
    )


def _require_scheme(wanted: str, cwd: Path) -> None:
    """Raises UsageError for an address that lacks its https://: what it may hold before an @ is not repeated."""
    user, at, place = wanted.rpartition("@")
    if not at and (not _HOST.match(wanted) or (cwd / wanted).exists()):
        return
    shown = f"{'***@' if user else ''}{place}"
    raise UsageError(
        f"not a mirror's name, nor an address: {shown}", hint=f"an address begins with https://: https://{shown}"
    )


def _of_wheels(mirror: Mirror) -> Mirror:
    if mirror.holds == "python":
        raise UsageError(
            f"--mirror {mirror.name}: it holds interpreters, no wheels",
            hint=f"for uv's interpreters: paddle-bootstrap mirror use {mirror.name}",
        )
    return mirror


def _of_user(settings: UserSettings) -> list[Mirror]:
    found = []
    for entry in settings.entries:
        try:
            found.append(_from_entry(entry))
        except UsageError as error:
            progress.warn(f"{entry.origin}: {error}; it is not used")
    return found


def _from_entry(entry: Entry) -> Mirror:
    mirror = mirror_at(entry.url, name=entry.name, kind=entry.kind, note=entry.origin, source=entry.origin)
    return replace(mirror, _login=entry.login) if entry.login else mirror


def _distinct(mirrors: Sequence[Mirror]) -> list[Mirror]:
    """Each address once, at its first place, with the name that a row of the file gives it."""
    first: dict[tuple[str, str], Mirror] = {}
    for mirror in mirrors:
        key = (identity(mirror.url), mirror.kind)
        if key not in first:
            first[key] = mirror
        elif mirror.source != first[key].source:
            first[key] = _with_row(first[key], mirror)
    return list(first.values())


def _with_row(mirror: Mirror, row: Mirror) -> Mirror:
    """What a row says of an address that the user's own pip or uv names too; a login that these have is theirs."""
    return replace(
        mirror,
        name=row.name,
        connections=row.connections,
        holds=row.holds,
        auth="" if mirror.login and mirror.login.complete else row.auth,
        certificate=mirror.certificate or row.certificate,
    )


def _with_transport(mirror: Mirror, pip: UserSettings) -> Mirror:
    if not (pip.certificate or pip.proxy) or mirror.url.startswith("file:"):
        return mirror
    try:
        through = mirror_at(mirror.url, certificate=pip.certificate, proxy=pip.proxy)
    except UsageError as error:
        progress.warn(f"pip's proxy: {error}; it is not used")
        through = mirror_at(mirror.url, certificate=pip.certificate)
    certificate = mirror.certificate or through.certificate
    return replace(mirror, certificate=certificate, proxy=through.proxy, _proxy_login=through.proxy_login)
