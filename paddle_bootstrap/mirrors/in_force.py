"""What pip and uv fetch from, and which of the places that they look at wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from paddle_bootstrap.mirrors import pip_settings, uv_settings
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.mirrors.user_settings import Level, UserSettings


def describe(environ: Mapping[str, str], cwd: Path, etc: Path) -> Iterator[str]:
    """Lines for a person, without secrets."""
    yield from _tool("pip", pip_settings.read(environ, cwd, etc), pip_settings.levels(environ, cwd, etc))
    yield ""
    uv, project = (uv_settings.read(environ, cwd, etc, project=flag) for flag in (False, True))
    yield from _tool("uv", uv, uv_settings.levels(environ, cwd, etc))
    if project.default != uv.default:
        yield f"  uv sync and uv add read no [pip]: {_default('uv', project)}"
    if found := uv_settings.python_mirror(environ, cwd, etc):
        yield f"  interpreters from {redact(found[0])}  ({found[1]})"


def _tool(name: str, settings: UserSettings, levels: Sequence[Level]) -> Iterator[str]:
    yield f"{name}: {_default(name, settings)}"
    for entry in settings.entries:
        if entry is not settings.default:
            yield f"  also {redact(entry.url)}  ({entry.origin})"
    yield "  where it looks, weakest first:"
    for level in levels:
        if level.name == "environment":
            yield from (f"    {level.name:15}  {level.place} = {value}" for _, value in level.says)
            continue
        yield f"    {level.name:15}  {level.place}{'' if level.exists else '  (not there)'}"
        yield from (f"    {'':15}    {key} = {value}" for key, value in level.says)


def _default(name: str, settings: UserSettings) -> str:
    if settings.no_index:
        return "no index (no-index is set)"
    if settings.default:
        return f"{redact(settings.default.url)}  ({settings.default.origin} wins)"
    return f"{name}'s built-in index, no setting names another"
