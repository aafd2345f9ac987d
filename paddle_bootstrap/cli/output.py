"""Standard output: the product of a verb, and nothing else."""

from __future__ import annotations

import os
import sys

import click


def say(text: str | bytes, *, end: bool = True) -> None:
    """Write ``text``. Whoever stopped reading (``| head``) does not change what the run found, nor its exit code."""
    try:
        click.echo(text, nl=end, color=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
