"""The indexes of the user's own pip and uv settings: on a host set up for its company's mirror, that is all there is.

Read by ourselves, since neither tool has an interface for it. Order of strength as each documents it: pip's environment,
PIP_CONFIG_FILE, site, user, host; uv's environment, project, user, host.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors.model import Kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Setting:
    """One index or page that the user configured, and where."""

    url: str
    kind: Kind
    origin: str
    certificate: str | None = None
    proxy: str | None = None


def read(environ: Mapping[str, str], cwd: Path, etc: Path = Path("/etc")) -> tuple[Setting, ...]:
    """pip's settings, then uv's."""
    return (*_pip(environ, etc), *_uv(environ, cwd, etc))


def _pip(environ: Mapping[str, str], etc: Path) -> Iterator[Setting]:
    merged: dict[str, tuple[str, str]] = {}  # key -> value, origin
    for path in _pip_files(environ, etc):
        merged.update({key: (value, str(path)) for key, value in _ini(path).items()})
    for key in ("index-url", "extra-index-url", "find-links", "cert", "proxy", "trusted-host"):
        variable = "PIP_" + key.upper().replace("-", "_")
        if environ.get(variable):
            merged[key] = (environ[variable], variable)
    if "trusted-host" in merged:
        progress.warn(f"pip's trusted-host ({merged['trusted-host'][1]}) is not obeyed: certificates are always verified")
    shared = {"certificate": merged.get("cert", (None,))[0], "proxy": merged.get("proxy", (None,))[0]}
    kinds: tuple[tuple[str, Kind], ...] = (("index-url", "simple"), ("extra-index-url", "simple"), ("find-links", "find-links"))
    for key, kind in kinds:
        value, origin = merged.get(key, ("", ""))
        for url in value.split():
            yield Setting(url, kind, f"pip {key}, {origin}", **shared)


def _pip_files(environ: Mapping[str, str], etc: Path) -> Iterator[Path]:
    """pip's files, weakest first."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = Path(environ.get("HOME", "/"))
    yield etc / "xdg" / "pip" / "pip.conf"
    yield etc / "pip.conf"
    if not (chosen and Path(chosen).exists()):
        yield home / ".pip" / "pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"]) / "pip.conf"
    if chosen:
        yield Path(chosen)


def _ini(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        progress.warn(f"{path} is not used: {str(error).splitlines()[0]}")
        return {}
    found: dict[str, str] = {}
    for section in ("global", "download", "install"):
        if parser.has_section(section):
            found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    return found


def _uv(environ: Mapping[str, str], cwd: Path, etc: Path) -> Iterator[Setting]:
    if environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL"):
        variable = "UV_DEFAULT_INDEX" if environ.get("UV_DEFAULT_INDEX") else "UV_INDEX_URL"
        yield Setting(_unnamed(environ[variable]), "simple", variable)
    for variable in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for url in environ.get(variable, "").split():
            yield Setting(_unnamed(url), "simple", variable)
    for url in environ.get("UV_FIND_LINKS", "").replace(",", " ").split():
        yield Setting(url, "find-links", "UV_FIND_LINKS")
    if environ.get("UV_NO_CONFIG"):
        return
    for path in _uv_files(environ, cwd, etc):
        yield from _uv_file(path)


def _unnamed(url: str) -> str:
    """``UV_INDEX`` entries may be NAME=URL."""
    name, equals, rest = url.partition("=")
    return rest if equals and "/" not in name else url


def _uv_files(environ: Mapping[str, str], cwd: Path, etc: Path) -> Iterator[Path]:
    if environ.get("UV_CONFIG_FILE"):
        yield Path(environ["UV_CONFIG_FILE"])
        return
    for folder in (cwd, *cwd.parents):
        if (folder / "uv.toml").is_file():
            yield folder / "uv.toml"
            break
    home = Path(environ.get("HOME", "/"))
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    yield next((path for path in (etc / "xdg" / "uv" / "uv.toml", etc / "uv" / "uv.toml") if path.is_file()), etc / "uv" / "uv.toml")


def _uv_file(path: Path) -> Iterator[Setting]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        progress.warn(f"{path} is not used: {str(error).splitlines()[0]}")
        return
    for table in (data, data.get("pip", {})):
        for index in table.get("index", ()):
            if isinstance(index, dict) and isinstance(index.get("url"), str):
                yield Setting(index["url"], "simple", f"uv index, {path}")
        for key in ("index-url", "extra-index-url", "find-links"):
            for url in _strings(table.get(key)):
                yield Setting(url, "find-links" if key == "find-links" else "simple", f"uv {key}, {path}")


def _strings(value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value or []
    return [item for item in items if isinstance(item, str)]
