"""``paddle-bootstrap bundle``: store -> one file -> a host without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from paddle_bootstrap.cli.options import CHOOSING, FETCHING, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.progress import human_bytes

_PATH = click.Path(path_type=Path)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@click.group("bundle")
def command() -> None:
    """One file for a host without a network: make it, verify it, import it."""


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Bytes, in decimal units: 4000M is less than the 4 GiB that FAT32 takes."""
    from paddle_bootstrap.bundle.writing import SMALLEST_PART

    if value is None:
        return None
    found = re.fullmatch(r"(\d+)([kKmMgG]?)B?", value.strip())
    size = int(found[1]) * _UNITS[found[2].lower()] if found else 0
    if size < SMALLEST_PART:
        raise click.BadParameter(f"{value!r} is no size of at least 1M: write 4000M or 2G")
    return size


@command.command("create", short_help="Make one file of a lock, its wheels and the tool.")
@click.option(
    "-o", "--output", type=_PATH, required=True, metavar="FILE", help="The bundle; what is there is replaced."
)
@click.option("--interpreter", type=_PATH, metavar="ARCHIVE", help="A Python that uv installs (.tar.gz), to be put in.")
@click.option("--split", callback=_size, metavar="SIZE", help="Parts FILE.001, FILE.002 of at most this: 4000M.")
@options(*CHOOSING, "python", "cuda_runtime", "store", "mirror", *FETCHING, "checks", "sign_key")
def create(*, output: Path, interpreter: Path | None, split: int | None, verbose: bool, **params: Any) -> int:  # noqa: ARG001
    """Make one file for a host without a network: lock, wheels of one Python, this tool with its own wheels.

    There, `sh FILE [arguments of up]` needs sh and python3 (3.8 or newer; the tool itself runs on a Python 3.10 or newer of
    that host, or on the --interpreter). The wheels are fetched first. Equal input gives equal bytes.
    """
    from paddle_bootstrap.stages.bundle import Order, create

    checks = tuple(path.absolute() for path in params["checks"])
    order = Order(output.absolute(), checks, interpreter, split, params["sign_key"])
    for path in create(wish(params), order):
        say(f"{path} ({human_bytes(path.stat().st_size)})")
    return 0


@command.command("verify", short_help="Compare every byte, the signature and the platform.")
@click.argument("bundle", type=_PATH, metavar="FILE")
@options("allowed_signers")
def verify(bundle: Path, *, allowed_signers: Path | None, verbose: bool) -> int:  # noqa: ARG001
    """Judge a bundle without running anything of it: manifest, every byte, signature, this host's platform.

    FILE may be split, or the folder that a bundle was unpacked into. Exits 13 for one that is changed, cut, or not
    signed by anybody in --allowed-signers; 10 for one of another platform.
    """
    from paddle_bootstrap.bundle.opening import verify

    found = verify(bundle, allowed_signers)
    told = found.manifest
    sizes = sum(row["size"] for row in told["members"])
    say(f"{bundle}: every byte is as written ({len(told['members'])} members, {human_bytes(sizes)})")
    say(f"  lock       {told['lock'].rsplit('/', 1)[1]}, {len(found.rows)} wheels for Python {told['python']}")
    say(f"  platform   {told['machine']}, glibc {told['glibc']} or newer: this host is one")
    runs = f"Python {told['interpreter_python']}, in the bundle" if told["interpreter"] else "Python of the host: "
    say(f"  tool       {told['version']}, {runs}{'' if told['interpreter'] else ', '.join(told['tool_pythons'])}")
    if told["checks"]:
        say(f"  checks     {', '.join(name.rsplit('/', 1)[1] for name in told['checks'])}")
    say(f"  signature  {f'by {found.signer}' if found.signer else 'not judged: no --allowed-signers'}")
    return 0


@command.command("import", short_help="Fill a store, or a static package index.")
@click.argument("bundle", type=_PATH, metavar="FILE")
@click.option("--tree", type=_PATH, metavar="DIR", help="A package index (PEP 503) that any web server can serve.")
@options("store", "allowed_signers")
def import_(bundle: Path, *, tree: Path | None, allowed_signers: Path | None, verbose: bool, **params: Any) -> int:  # noqa: ARG001
    """Put a bundle's wheels into the store (--store DIR), or into a static index: --tree DIR, served as DIR/simple.

    Prints the files. The lock comes along: into the store's folder locks, or the tree's folder lock.
    """
    from paddle_bootstrap.bundle import tree as trees
    from paddle_bootstrap.bundle.opening import opened
    from paddle_bootstrap.errors import UsageError
    from paddle_bootstrap.stages.bundle import fill_store

    source = click.get_current_context().get_parameter_source("store")
    if tree and source is ParameterSource.COMMANDLINE:
        raise UsageError("--store and --tree both say where to", hint="run the command once for each")
    found = opened(bundle, allowed_signers)
    files = trees.fill(found, tree.absolute()) if tree else fill_store(found, wish(params).store)
    for path in files:
        say(str(path))
    return 0
