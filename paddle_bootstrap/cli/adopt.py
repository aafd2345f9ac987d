"""``paddle-bootstrap adopt``: an environment made by hand + lock -> receipt, or what differs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from paddle_bootstrap.cli.options import FETCHING, OFFLINE, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.install.adoption import has_pip
from paddle_bootstrap.stages.adopt import Adoption, adopt_target


@click.command("adopt")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@options("paddle", "lock", "store", "device", "mirror", "cuda_runtime", *FETCHING, *OFFLINE)
def command(*, directory: Path, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Compare an environment made by hand (pip, conda) with a lock; it gets a receipt if it matches.

    The lock is that of the Paddle which is installed there, unless another is named. Names, versions and sizes are judged
    first, then every file by the sha256 of the verified wheels. Nothing else in DIR is changed. What differs is listed with
    the commands that mend it: exit code 1.
    """
    done = adopt_target(wish({**params, "env": directory}))
    path = done.state.path
    if done.differences:
        for line in _differing(done):
            say(line)
        return 1
    say(
        f"{path} is adopted: it holds {done.lock.name}"
        if done.news
        else f"{path}: nothing to do, it holds {done.lock.name}"
    )
    say(f"to judge it:  paddle-bootstrap verify --env {shlex.quote(str(path))}")
    return 0


def _differing(done: Adoption) -> Iterator[str]:
    path = done.state.path
    yield f"not adopted: {path} differs from {done.lock.name}"
    for each in done.differences:
        yield f"  {each.name} {each.what}"
    yield "to mend it by hand, then adopt it again:"
    yield from (f"  {command}" for command in _by_hand(done))
    lock = done.lock.path if done.lock.build is None or done.lock.path.parent.name != "shipped" else done.lock.name
    words = f"--lock {shlex.quote(str(lock))}"
    if done.state.conda:
        yield "or make an environment beside it, with its Python:"
        yield f"  paddle-bootstrap install --env NEW-DIR --python {shlex.quote(f'{path}/bin/python')} {words}"
    else:
        yield "or in one step, which `paddle-bootstrap rollback` takes back:"
        yield f"  paddle-bootstrap install --env {shlex.quote(str(path))} {words}"


def _by_hand(done: Adoption) -> Iterator[str]:
    python = shlex.quote(str(done.state.path / "bin" / "python"))
    pip = f"{python} -m pip" if has_pip(done.state.path) else "uv pip"
    at = "" if has_pip(done.state.path) else f" --python {python}"
    gone = [each.name for each in done.differences if each.wheel is None and each.installed]
    fresh = [each.wheel for each in done.differences if each.wheel]
    if gone:
        yield f"{pip} uninstall{at}{'' if at else ' --yes'} {' '.join(gone)}"
    if fresh:
        again = "--reinstall" if at else "--force-reinstall"
        pinned = " ".join(f"{wheel.name}=={wheel.version}" for wheel in fresh)
        yield f"{pip} install{at} --no-deps {again} {pinned}"
    if not gone and not fresh:
        yield "(links are made by install alone)"
