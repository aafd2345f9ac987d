"""``paddle-bootstrap lock``: a build -> pylock.toml with digests of every piece beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from paddle_bootstrap.cli.options import FETCHING, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.differences import differences
from paddle_bootstrap.lock.model import Lock
from paddle_bootstrap.stages.choosing import PROJECT_LOCK
from paddle_bootstrap.stages.lock_check import Serving, ask_all, require_served
from paddle_bootstrap.stages.locking import kept_lock, upgrade, write_lock
from paddle_bootstrap.stages.wish import Wish

_NAME = re.compile(r"pylock\.([^.]+\.)?toml")  # PEP 751


def _named(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not _NAME.fullmatch(value.name):
        raise click.BadParameter(f"{value.name!r}: installers know locks as pylock.toml and pylock.NAME.toml")
    return value


@click.group("lock", invoke_without_command=True)
@options("paddle", "build", "device", "gpus", "python", "env", "extra", "require_shipped", "store", "mirror", *FETCHING)
@click.option("--all-pythons", is_flag=True, help="For every Python that the build has a wheel for, not for one.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_named,
    metavar="FILE",
    help=f"Default: ./{PROJECT_LOCK}.",
)
@click.option(
    "--check",
    is_flag=False,
    flag_value="",
    metavar="[LOCK]",
    help="Compose nothing: ask every mirror for every file of a lock (default: the project's).",
)
@click.option("--upgrade", "move_on", is_flag=True, help="Compose the project's lock anew, and tell what changed.")
def command(
    *,
    all_pythons: bool,
    output: Path | None,
    check: str | None,
    move_on: bool,
    verbose: bool,
    **params: Any,
) -> int:
    """Compose a lock for any build, check one against mirrors, or move the project's on.

    Paddle, what its METADATA asks for, and what `extra` of the settings adds, each with size, sha256 and a digest per
    4 MiB. A digest that no index publishes is learned from Paddle's own host over verified TLS, and told: first use.
    """
    if click.get_current_context().invoked_subcommand:
        return 0
    if sum((check is not None, move_on, output is not None)) > 1:
        raise UsageError("--check, --upgrade and --output are three commands", hint="give one of them")
    wanted = wish(params)
    if check is not None:
        return _check(wanted, check, verbose=verbose)
    if move_on:
        return _upgrade(wanted, all_pythons=all_pythons)
    path = output or wanted.cwd / PROJECT_LOCK
    if output is None and path.exists():
        raise UsageError(
            f"{path} is there already", hint="to compose it anew: paddle-bootstrap lock --upgrade; or give -o FILE"
        )
    _tell(write_lock(wanted, path.absolute(), all_pythons=all_pythons))
    return 0


@command.command("diff", short_help="What changes from one lock to another, in words.")
@click.argument("old", metavar="LOCK")
@click.argument("new", metavar="LOCK")
@options()
def diff(*, old: str, new: str, verbose: bool) -> int:  # noqa: ARG001 every verb takes it
    """Say what changes from one lock to another: build, versions, files, digests and where these are from."""
    _tell_differences(pylock.read(pylock.find(old)), pylock.read(pylock.find(new)))
    return 0


def _check(wanted: Wish, named: str, *, verbose: bool) -> int:
    lock = pylock.read(pylock.find(named)) if named else kept_lock(wanted)
    found = ask_all(wanted, lock)
    width = max((len(each.mirror.name) for each in found), default=0)
    for each in found:
        for line in _lines(each, verbose=verbose):
            say(f"{each.mirror.name:{width}}  {line}")
    require_served(lock, found)
    return 0


def _lines(found: Serving, *, verbose: bool) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for answer in found.answers:
        if answer.reason is not None:
            reasons.setdefault(answer.reason, []).append(answer.wheel.filename)
    lines = [f"serves {len(found.served)} of {len(found.answers)} files"]
    for reason, files in reasons.items():
        names = ", ".join(files) if verbose or len(files) == 1 else f"{len(files)} files"
        lines.append(f"  {names}: {reason}")
    return lines


def _upgrade(wanted: Wish, *, all_pythons: bool) -> int:
    old, new = upgrade(wanted, all_pythons=all_pythons)
    _tell_differences(old, new)
    _tell(new)
    if old.path != new.path:
        say(f"the old one is {old.path}")
    return 0


def _tell_differences(old: Lock, new: Lock) -> None:
    for line in differences(old, new) or ("nothing differs",):
        say(line)


def _tell(lock: Lock) -> None:
    say(str(lock.path))
    for row in lock.learned:
        say(f"  {row}")
