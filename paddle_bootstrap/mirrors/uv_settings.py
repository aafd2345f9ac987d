"""Where the user's uv fetches from: ``uv.toml`` of project, user and host, ``[tool.uv]``, and ``UV_*`` variables.

A variable outranks a file; lists are joined, strongest first. An index marked ``explicit`` serves only packages that a
project pins to it, so it is not asked here. ``[[index]]`` of any file outranks ``index-url`` of any file, and of one key
the ``[pip]`` tables outrank the rest. Rules: uv's documentation of its configuration files, and what uv 0.13.9 asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_bootstrap import progress, toml
from paddle_bootstrap.mirrors.credentials import Login
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.mirrors.user_settings import Entry, Level, UserSettings, is_true, local_address

Table = Mapping[str, Any]
Row = tuple[bool, Path, Table]  # whether it is [pip] of the file, the file, the table
NAME = "uv.toml"
PYTHON, PYTHON_VARIABLE = "python-install-mirror", "UV_PYTHON_INSTALL_MIRROR"
TELLING = ("index", "index-url", "extra-index-url", "find-links", "no-index", "allow-insecure-host", PYTHON)
TELLING_VARIABLES = (
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_INSECURE_HOST",
    "SSL_CERT_FILE",
    PYTHON_VARIABLE,
)
_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(?=\w+:|[./])(.*)")


def read(environ: Mapping[str, str], cwd: Path, etc: Path, *, project: bool = False) -> UserSettings:
    """What the user's ``uv pip`` would use; ``project``: what ``uv sync`` and ``uv add`` would, which read no ``[pip]``.

    A file that cannot be read is a warning, and the others still count.
    """
    found_tables = [row for path in _files(environ, cwd, etc) for row in _tables(path, warn=not project)]
    tables = sorted((row for row in found_tables if not (project and row[0])), key=lambda row: not row[0])
    no_index = is_true(environ.get("UV_NO_INDEX", "")) or any(table.get("no-index") is True for *_, table in tables)
    insecure = [str(path) for _, path, table in tables if table.get("allow-insecure-host")]
    insecure += ["UV_INSECURE_HOST"] if environ.get("UV_INSECURE_HOST") else []
    found = [*_from_variables(environ, cwd), *_from_tables(tables)]
    # --index before --default-index, as uv itself ranks them; a later default index is replaced by an earlier one
    defaults = [entry for entry, default in found if default][:1]
    others = [entry for entry, default in found if not default]
    ordered = [_with_login(entry, environ) for entry in [*others, *defaults]]
    return UserSettings(
        entries=tuple(entry for entry in ordered if not (no_index and entry.kind == "simple")),
        default=None if no_index or not defaults else ordered[-1],
        unchecked=f"allow-insecure-host in {' and '.join(insecure)}" if insecure else "",
        no_index=no_index,
    )


def levels(environ: Mapping[str, str], cwd: Path, etc: Path) -> tuple[Level, ...]:
    """Every place that uv looks at, weakest first, and what it says of where to fetch from. None of them is pip's."""
    candidates = [("system", system_file(environ, etc)), ("user", user_file(environ))]
    project = _project_file(cwd)
    if environ.get("UV_CONFIG_FILE"):
        candidates = [("UV_CONFIG_FILE", cwd / environ["UV_CONFIG_FILE"])]
    elif project:
        candidates.append(("project", project))
    if is_true(environ.get("UV_NO_CONFIG", "")):
        candidates = []
    found = [Level(name, str(path), _telling(path), path.is_file()) for name, path in candidates]
    variables = [name for name in TELLING_VARIABLES if environ.get(name)]
    return (*found, *(Level("environment", name, ((name, redact(environ[name])),)) for name in variables))


def _telling(path: Path) -> tuple[tuple[str, str], ...]:
    if not path.is_file():
        return ()
    said = [
        (
            f"{key} in [pip]" if pip else key,
            redact(" ".join(_words(value) for value in _items(table, key, object) if value is not None)),
        )
        for pip, _, table in _tables(path, warn=False)
        for key in TELLING
    ]
    return tuple((key, words) for key, words in said if words)


def _words(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value).lower() if isinstance(value, bool) else str(value)
    marks = [mark for mark in ("default", "explicit") if value.get(mark) is True]
    return " ".join([str(value.get("url")), *(f"({mark})" for mark in marks)])


def python_mirror(environ: Mapping[str, str], cwd: Path, etc: Path) -> tuple[str, str] | None:
    """Where uv takes interpreters from, and which file or variable says so."""
    if environ.get(PYTHON_VARIABLE):
        return environ[PYTHON_VARIABLE], PYTHON_VARIABLE
    for path in _files(environ, cwd, etc):
        for _, _, table in _tables(path, warn=False):
            if isinstance(table.get(PYTHON), str):
                return table[PYTHON], f"{PYTHON} in {path}"
    return None


def _from_variables(environ: Mapping[str, str], cwd: Path) -> Iterator[tuple[Entry, bool]]:
    for variable, kind, default in (
        ("UV_INDEX", "simple", False),
        ("UV_EXTRA_INDEX_URL", "simple", False),
        ("UV_DEFAULT_INDEX", "simple", True),
        ("UV_INDEX_URL", "simple", True),
        ("UV_FIND_LINKS", "find-links", False),
    ):
        for item in re.split(r"[\s,]+" if kind == "find-links" else r"\s+", environ.get(variable, "")):
            if item:
                named = _NAMED.fullmatch(item)
                name, url = named.groups() if named else ("", item)
                flat = kind == "find-links"
                yield Entry(local_address(url, cwd), "find-links" if flat else "simple", variable, name), default


def _from_tables(tables: Sequence[Row]) -> Iterator[tuple[Entry, bool]]:
    def entry(row: Row, url: str, key: str, name: str = "", *, flat: bool = False) -> Entry:
        pip, path, _ = row
        origin = f"{key} in {f'[pip] of {path}' if pip else path}"
        return Entry(local_address(url, path.parent), "find-links" if flat else "simple", origin, name)

    for row in tables:
        for index in _items(row[2], "index", dict):
            url, name = index.get("url"), index.get("name")
            if isinstance(url, str) and index.get("explicit") is not True:
                flat = index.get("format") == "flat"
                known = name if isinstance(name, str) else ""
                yield entry(row, url, "index", known, flat=flat), index.get("default") is True
    for key, default in (("extra-index-url", False), ("index-url", True), ("find-links", False)):
        for row in tables:
            for url in _items(row[2], key, str):
                yield entry(row, url, key, flat=key == "find-links"), default


def _items(table: Table, key: str, kind: type) -> list[Any]:
    value = table.get(key)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, kind)]


def _with_login(entry: Entry, environ: Mapping[str, str]) -> Entry:
    """``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD`` belong to the index of that name."""
    stem = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", entry.name.upper())
    user, password = environ.get(f"{stem}_USERNAME"), environ.get(f"{stem}_PASSWORD")
    if not entry.name or (user is None and password is None):
        return entry
    return Entry(entry.url, entry.kind, entry.origin, entry.name, Login(user or "", password))


def _files(environ: Mapping[str, str], cwd: Path, etc: Path) -> list[Path]:
    """Settings files that exist, strongest first."""
    if is_true(environ.get("UV_NO_CONFIG", "")):
        return []
    if environ.get("UV_CONFIG_FILE"):
        return [cwd / environ["UV_CONFIG_FILE"]]
    candidates = (_project_file(cwd), user_file(environ), system_file(environ, etc))
    return [path for path in candidates if path is not None and path.is_file()]


def user_file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config") / "uv" / NAME


def system_file(environ: Mapping[str, str], etc: Path) -> Path:
    """uv reads only the first that exists; where none does, the last is the one to make."""
    wide = [Path(folder) for folder in (environ.get("XDG_CONFIG_DIRS") or str(etc / "xdg")).split(":") if folder]
    candidates = [folder / "uv" / NAME for folder in [*wide, etc]]
    return next((path for path in candidates if path.is_file()), candidates[-1])


def _project_file(cwd: Path) -> Path | None:
    return next((path for folder in (cwd, *cwd.parents) for path in _project_files(folder)), None)


def _project_files(folder: Path) -> Iterator[Path]:
    if (folder / NAME).is_file():
        yield folder / NAME
    project = folder / "pyproject.toml"
    if project.is_file() and b"[tool.uv" in project.read_bytes():
        yield project


def _tables(path: Path, *, warn: bool) -> Iterator[Row]:
    """Its ``[pip]`` table, then its top level."""
    try:
        data: Any = toml.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        problem = error.strerror
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:  # its text may quote the file
        problem = f"not TOML in UTF-8 ({type(error).__name__})"
    else:
        if path.name == "pyproject.toml":
            tool = data.get("tool")
            data = tool.get("uv") if isinstance(tool, dict) else None
        if isinstance(data, dict):
            if isinstance(data.get("pip"), dict):
                yield True, path, data["pip"]
            yield False, path, data
        return
    if warn:
        progress.warn(f"{path}: {problem}; its settings are not used")
