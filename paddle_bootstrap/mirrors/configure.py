"""Makes a mirror the index of pip and uv, in the tools' own settings files, and proves that they use it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from paddle_bootstrap import progress
from paddle_bootstrap.errors import ConfigError, MirrorNotUsed, UsageError
from paddle_bootstrap.filelock import held
from paddle_bootstrap.mirrors import pip_conf, pip_settings, prove, uv_settings, uv_toml
from paddle_bootstrap.mirrors.credentials import Login, named_by
from paddle_bootstrap.mirrors.index import CONFUSION, host_of, is_open, require_index, require_private_login
from paddle_bootstrap.mirrors.journal import Change, Journal, read
from paddle_bootstrap.mirrors.model import Mirror, identity, mirror_at
from paddle_bootstrap.mirrors.user_settings import UserSettings

Tool = Literal["pip", "uv"]
Scope = Literal["user", "site", "system"]
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_KEEPING: Mapping[Tool, tuple[str, ...]] = {"pip": ("PIP_CONFIG_FILE",), "uv": ("UV_NO_CONFIG", "UV_CONFIG_FILE")}


@dataclass(frozen=True)
class Setting:
    """One mirror for some tools in one scope; with ``packages``: for these alone, in the project at ``cwd``."""

    mirror: Mirror
    tools: tuple[Tool, ...]
    scope: Scope
    environ: Mapping[str, str]
    cwd: Path
    etc: Path = Path("/etc")
    packages: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """With its credentials: for the tools' files and nothing else."""
        login = self.mirror.login
        return login.in_front_of(self.mirror.url) if login else self.mirror.url


def setting(
    mirror: Mirror,
    *,
    tools: Sequence[Tool],
    scope: Scope,
    environ: Mapping[str, str],
    cwd: Path,
    etc: Path = Path("/etc"),
    packages: Sequence[str] = (),
) -> Setting:
    """What was asked for, with ``tools`` chosen where it is empty. Raises UsageError for what must not or cannot be."""
    if mirror.holds == "python" or packages:
        if "pip" in tools:
            why = "pip cannot bind a package to an index" if packages else "pip installs no interpreters"
            raise UsageError(f"{why}: only uv can", hint="leave --for out")
        tools = ("uv",)
    if mirror.holds != "python" and not packages:
        require_index(mirror)
    if mirror.folder_per_build:
        hint = "give the address with the folder, such as .../cu126/"
        raise UsageError(f"{mirror.name} has a folder per build: {mirror.url}", hint=hint)
    if bad := [name for name in packages if not _PACKAGE.fullmatch(name)]:
        raise UsageError(f"--package {bad[0]!r}: no package has such a name", hint="give the name alone, no version")
    if packages and scope != "user":
        raise UsageError("--package writes ./pyproject.toml: no scope has a part in it", hint="leave --scope out")
    if scope == "site" and "uv" in tools:
        raise UsageError("uv has no settings per environment", hint="--scope user, or --for pip")
    site = pip_settings.site_file(environ)
    if scope == "site" and site is None:
        raise UsageError("no environment is active", hint="activate one, or choose --scope user")
    if scope == "site" and site and not site.parent.is_dir():
        raise UsageError(f"the active environment is not there: {site.parent}", hint="activate one, or --scope user")
    mirror = _with_auth(mirror, scope, packages, environ)
    if mirror.login and (scope == "system" or packages):
        raise UsageError(
            f"{mirror.name}: a password has no place in a file that others read",
            hint="leave it out of the address; each user puts it into ~/.netrc (mode 600), which pip and uv read",
        )
    require_private_login(mirror)
    default: tuple[Tool, ...] = ("pip",) if scope == "site" else ("pip", "uv")
    return Setting(mirror, tuple(dict.fromkeys(tools)) or default, scope, environ, cwd, etc, tuple(packages))


def _with_auth(mirror: Mirror, scope: Scope, packages: Sequence[str], environ: Mapping[str, str]) -> Mirror:
    """``mirror`` with the user's name where the tools have to be told it. Raises UsageError for what they cannot do."""
    if mirror.auth.startswith("env:"):
        raise UsageError(
            f"{mirror.name}: pip and uv take no login from {mirror.auth.removeprefix('env:')}",
            hint='put it into ~/.netrc (mode 600), which both read, and write auth = "netrc"',
        )
    if mirror.auth != "keyring":
        return mirror
    if scope == "system" or packages:
        raise UsageError(
            f"{mirror.name}: a keyring is one user's, that file is everybody's", hint="--scope user, without --package"
        )
    user = named_by(mirror.auth, mirror.url, mirror.login.user if mirror.login else None, environ).user
    return replace(mirror, _login=Login(user, None))


def planned(wanted: Setting) -> tuple[Change, ...]:
    """The files that would change, and how. Raises ConfigError for a file that the tool itself cannot read."""
    changes = [_change(wanted, place(wanted, tool), _writer(wanted, tool)) for tool in wanted.tools]
    return tuple(change for change in changes if change.changes)


def use(wanted: Setting, *, check: bool) -> tuple[Change, ...]:
    """Write the setting and prove it; returns what changed.

    Raises MirrorNotUsed when a tool does not fetch through it, after the old settings are back; InstallFailed when a file
    cannot be written.
    """
    journal = Journal(wanted.environ)
    with held(journal.lock, "the settings of pip and uv"):
        changes = planned(wanted)
        if changes:
            journal.apply(changes)
        try:
            for tool in wanted.tools:
                _prove(wanted, tool, check=check)
        except BaseException:
            if changes:
                journal.undo(force=True)
            raise
    return changes


def undo(environ: Mapping[str, str], *, force: bool) -> tuple[Path, ...]:
    """The newest change taken back, byte for byte; returns the files."""
    journal = Journal(environ)
    with held(journal.lock, "the settings of pip and uv"):
        return journal.undo(force=force)


def advice(wanted: Setting) -> tuple[str, ...]:
    """What the user should know of this setting."""
    told = []
    if "pip" in wanted.tools:
        extra = [
            entry
            for entry in pip_settings.read(wanted.environ, wanted.cwd, wanted.etc).entries
            if _is_extra(entry.origin)
        ]
        told += [
            f"{origin} stays: {CONFUSION}. Remove it; bind own packages to their index instead: "
            "paddle-bootstrap mirror use URL --package NAME"
            for origin in dict.fromkeys(entry.origin for entry in extra)
        ]
        if is_open(wanted.mirror):
            told.append("http: nobody checks who answers, so trusted-host is set for it; prefer its https address")
    if "uv" in wanted.tools and wanted.mirror.holds == "pypi" and not wanted.packages:
        uv = uv_settings.read(wanted.environ, wanted.cwd, wanted.etc)
        first = [entry.origin for entry in uv.entries if entry.kind == "simple" and entry is not uv.default]
        told += [
            f"{origin} stays: uv asks it first, and {wanted.mirror.name} only for packages that it does not have"
            for origin in dict.fromkeys(first)
        ]
    if "uv" in wanted.tools and wanted.mirror.certificate and wanted.mirror.holds == "pypi":
        told.append(f"uv takes certificates from a variable alone: export SSL_CERT_FILE={wanted.mirror.certificate}")
    return tuple(told)


def place(wanted: Setting, tool: Tool) -> Path:
    """The file that ``pip config`` would write, and uv's for the same scope."""
    environ, etc = wanted.environ, wanted.etc
    if wanted.packages:
        project = wanted.cwd / "pyproject.toml"
        if not project.is_file():
            raise UsageError(f"no project here: {project} is not there", hint="run it in the project's folder")
        return project
    if tool == "uv":
        return uv_settings.system_file(environ, etc) if wanted.scope == "system" else uv_settings.user_file(environ)
    if wanted.scope == "system":
        return etc / pip_settings.NAME
    site = pip_settings.site_file(environ)
    return site if wanted.scope == "site" and site else pip_settings.user_file(environ)


def _change(wanted: Setting, path: Path, write: Callable[[str], str]) -> Change:
    path = Path(os.path.realpath(path))  # no error for links in a circle: reading them is one
    before, mode = read(path)
    try:
        text = write((before or b"").decode("utf-8", "surrogateescape"))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}", hint=error.hint) from error
    allowed = 0o600 if wanted.mirror.login else 0o777
    return Change(
        path, before, mode, text.encode("utf-8", "surrogateescape"), (0o644 if mode is None else mode) & allowed
    )


def _writer(wanted: Setting, tool: Tool) -> Callable[[str], str]:
    address, keyring = wanted.address, wanted.mirror.auth == "keyring"
    if wanted.packages:
        names, owned = _index_names(wanted.mirror)
        return lambda text: uv_toml.with_explicit_index(text, names, address, wanted.packages, owned=owned)
    if wanted.mirror.holds == "python":
        return lambda text: uv_toml.with_python_mirror(text, address)
    if tool == "uv":
        return lambda text: uv_toml.with_default_index(text, address, keyring=keyring)
    return lambda text: pip_conf.with_values(text, _pip_values(wanted.mirror, address, text))


def _pip_values(mirror: Mirror, address: str, text: str) -> dict[str, str]:
    values = {"index-url": address}
    if is_open(mirror):
        trusted = [*pip_conf.value_of(text, "trusted-host").split(), host_of(mirror)]
        values["trusted-host"] = "\n".join(dict.fromkeys(trusted))
    if mirror.certificate:
        values["cert"] = mirror.certificate
    if mirror.auth == "keyring":
        values["keyring-provider"] = "subprocess"
    return values


def _index_names(mirror: Mirror) -> tuple[tuple[str, ...], bool]:
    """What to call it in a project, and whether it has a name of its own: others may share its host."""
    own, host, whole = (
        re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        for text in (mirror.name, host_of(mirror), mirror.url.partition("://")[2])
    )
    if own and mirror.name != host_of(mirror):
        return (own,), True
    return tuple(name for name in (host, whole, "index") if name), False


def _is_extra(origin: str) -> bool:
    return origin.startswith("extra-index-url ")


def _prove(wanted: Setting, tool: Tool, *, check: bool) -> None:
    stronger = _overruled(wanted, tool)
    if stronger and check:
        variables = [name for name in wanted.environ if name in stronger.split() and name.isupper()]
        how = f"unset {' '.join(variables)}" if variables else "remove that"
        raise MirrorNotUsed(f"{tool} would not use {wanted.mirror.name}: {stronger}", hint=f"{how}, and run it again")
    if stronger:
        progress.warn(f"{tool} does not use {wanted.mirror.name} yet: {stronger}")
    if check:
        prove.prove(tool, wanted.mirror, wanted.address, wanted.packages, wanted.environ, wanted.cwd)


def _overruled(wanted: Setting, tool: Tool) -> str | None:
    """What keeps the tool from the mirror although the file names it."""
    if wanted.packages:
        return None
    if wanted.mirror.holds == "python":
        found = uv_settings.python_mirror(wanted.environ, wanted.cwd, wanted.etc)
        return None if found and found[0] == wanted.address else f"{found[1] if found else 'UV_NO_CONFIG'} wins"
    reader = pip_settings.read if tool == "pip" else uv_settings.read
    settings: UserSettings = reader(wanted.environ, wanted.cwd, wanted.etc)
    if settings.no_index:
        variable = f"{tool.upper()}_NO_INDEX"
        return f"{variable if wanted.environ.get(variable) else 'no-index'} is set, so it asks none"
    if settings.default is None:
        keeping = " and ".join(name for name in _KEEPING[tool] if wanted.environ.get(name))
        return f"{keeping} is set, so it reads no file of the scope {wanted.scope}"
    same = identity(mirror_at(settings.default.url).url) == identity(wanted.mirror.url)
    return None if same else f"{settings.default.origin} wins"
