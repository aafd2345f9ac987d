"""``paddle-bootstrap sbom``: receipt or lock -> CycloneDX JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from paddle_bootstrap.cli.options import options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.results.store import write_text
from paddle_bootstrap.stages.sbom import bill_of_materials

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


@click.command("sbom")
@options("env", "lock", "store")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: standard output.")
def command(*, output: Path | None, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Write the bill of materials of a target or a lock (CycloneDX JSON).

    Of the target, by its receipt; with --lock, of everything in that lock, for every Python that it serves. Licences of
    a lock's wheels are told as far as the wheels are in the store. Equal input makes equal bytes.
    """
    context = click.get_current_context()
    given = {name: context.get_parameter_source(name) in _GIVEN for name in ("env", "lock")}
    if given["env"] and given["lock"]:
        raise UsageError("--env and --lock name two things", hint="give the one that the document shall be of")
    wanted = wish(params)
    text = bill_of_materials(wanted if given["lock"] else replace(wanted, lock=None))
    if output is None:
        say(text, end=False)
    else:
        write_text(text, output)
    return 0
