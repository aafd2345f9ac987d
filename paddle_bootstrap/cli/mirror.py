"""``paddle-bootstrap mirror``: which mirror is fastest from here, and the settings of pip and uv."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import CHOOSING, mirror_tables, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.mirrors import configure, in_force
from paddle_bootstrap.mirrors.configure import Scope, Tool
from paddle_bootstrap.mirrors.configured import configured, named
from paddle_bootstrap.mirrors.index import login_advice, pip_arguments, variables
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.mirrors.ranking import Measured
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.mirrors.rows import rows
from paddle_bootstrap.progress import human_bytes


@click.group("mirror")
def command() -> None:
    """Rank the mirrors, and set pip and uv to one of them."""


@command.command("list", short_help="Every mirror, in the order in which it is asked.")
@options()
def show_all(*, verbose: bool) -> int:
    """Show every mirror in the order in which it is asked."""
    tables = mirror_tables()
    mirrors = list(configured((), os.environ, cwd=Path.cwd(), tables=tables))
    mirrors += [mirror for mirror in rows(tables) if mirror.holds == "python"]
    width = max(len(mirror.name) for mirror in mirrors)
    for mirror in mirrors:
        say(f"{mirror.name:{width}}  {mirror.holds:6}  {redact(mirror.url)}")
        if verbose:
            login = f"; login from {mirror.auth}" if mirror.auth else ""
            say(f"{'':{width}}  {'':6}  {redact(mirror.note)}; at most {mirror.connections} connections{login}")
    return 0


@command.command("rank", short_help="Measure the wanted file on all mirrors side by side.")
@options(*CHOOSING, "python", "env", "cuda_runtime", "store", "mirror", "trusted_host")
def rank(*, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Measure the wanted file itself on all mirrors side by side, in five seconds.

    The file is the lock's biggest wheel. The order is remembered for a day. Exits 12 when no mirror serves it.
    """
    from paddle_bootstrap.stages.rank import rank_mirrors  # the other verbs need no lock

    wheel, found = rank_mirrors(wish(params))
    serving = [measured for measured in found if measured.speed is not None]
    if not serving:
        raise NoMirrorServes(
            f"no mirror serves {wheel.filename}",
            hint="check the network and the proxy, or name another mirror with --mirror",
            tried=[f"{measured.mirror.redacted}: {measured.reason}" for measured in found],
        )
    width = max(len(measured.mirror.name) for measured in found)
    for place, measured in enumerate(found, 1):
        say(_line(place, measured, width))
    return 0


def _line(place: int, measured: Measured, width: int) -> str:
    name = f"{measured.mirror.name:{width}}"
    if measured.speed is None or measured.first_byte is None:
        return f" -  {name}  out: {measured.reason}"
    speed = f"{human_bytes(measured.speed)}/s"
    return f"{place:2}  {name}  {speed:>10}  first byte after {measured.first_byte:.2f} s"


def _tools(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Tool, ...]:
    words = () if value is None else tuple(word.strip() for word in value.split(","))
    if unknown := [word for word in words if word not in get_args(Tool)]:
        raise click.BadParameter(f"{', '.join(unknown)}: give pip, uv, or pip,uv")
    return cast("tuple[Tool, ...]", words)


@command.command("use", short_help="Set pip and uv to a mirror, and prove it.")
@click.argument("wanted", metavar="NAME|URL")
@click.option("--for", "tools", callback=_tools, metavar="pip,uv", help="Default: both.")
@click.option("--scope", type=click.Choice(get_args(Scope)), default="user", show_default=True, help="Whose settings.")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="Only it, in ./pyproject.toml; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show the change as a diff, write nothing.")
@click.option("--no-check", is_flag=True, help="Do not prove it: for a host prepared offline.")
@options()
def use(
    wanted: str,
    *,
    tools: tuple[Tool, ...],
    scope: Scope,
    packages: Sequence[str],
    dry_run: bool,
    no_check: bool,
    verbose: bool,  # noqa: ARG001 every verb takes it
) -> int:
    """Make a mirror the index of pip and uv, and prove it with the real pip and uv.

    Comments and other settings stay. When a tool cannot fetch through the mirror, the old settings come back and the
    exit code is 12. A second index is never added beside the first: it could supply any package. An own index for own
    packages is bound to these with --package, in a project that uv manages.
    """
    setting = configure.setting(
        _named(wanted), tools=tools, scope=scope, packages=packages, environ=os.environ, cwd=Path.cwd()
    )
    for told in configure.advice(setting):
        progress.warn(told)
    if dry_run:
        for change in configure.planned(setting):
            say(change.diff())
        return 0
    changes = configure.use(setting, check=not no_check)
    for change in changes:
        say(f"changed {change.path}")
    found = f"{redact(setting.mirror.url)} ({setting.mirror.source})"
    say(f"{' and '.join(setting.tools)}: {found}{'' if changes else ', as before'}")
    if changes:
        say("to take it back:  paddle-bootstrap mirror undo")
    return 0


@command.command("undo", short_help="Take the last `use` back, byte for byte.")
@click.option("--force", is_flag=True, help="Also a file that somebody changed since.")
@options()
def undo(*, force: bool, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Take the last `mirror use` back, byte for byte."""
    for path in configure.undo(os.environ, force=force):
        say(f"as before: {path}")
    return 0


@command.command("status", short_help="What pip and uv fetch from, and what wins.")
@options()
def status(*, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Show what pip and uv fetch from, and which file or variable wins."""
    for line in in_force.describe(os.environ, Path.cwd(), Path("/etc")):
        say(line)
    return 0


@command.command("env", short_help="Export lines for this shell.")
@click.argument("wanted", metavar="NAME|URL")
@options()
def env(wanted: str, *, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Print export lines that set pip and uv to a mirror in this shell."""
    found = _named(wanted)
    for name, value in variables(found).items():
        say(f"export {name}={shlex.quote(value)}")
    _tell_login(found)
    return 0


@command.command("pip-args", short_help="Arguments for one pip command.")
@click.argument("wanted", metavar="NAME|URL")
@options()
def pip_args(wanted: str, *, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Print the arguments that make one pip command ask a mirror."""
    found = _named(wanted)
    say(shlex.join(pip_arguments(found)))
    _tell_login(found)
    return 0


def _tell_login(mirror: Mirror) -> None:
    if mirror.login or mirror.auth not in ("", "netrc"):
        progress.warn(login_advice(mirror, Path(os.environ.get("HOME") or "/")))


def _named(wanted: str) -> Mirror:
    return named(wanted, Path.cwd(), mirror_tables())
