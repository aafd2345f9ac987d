"""Standard output: the product of a verb, and nothing else."""

from __future__ import annotations

import os
import sys

import click

from paddle_bootstrap.errors import ConfigError


def say(text: str | bytes, *, end: bool = True) -> None:
    """Write ``text``. Whoever stopped reading (``| head``) does not change what the run found, nor its exit code.

    Raises ConfigError when it cannot be written, as onto a full disk.
    """
    try:
        click.echo(text, nl=end, color=True)
    except BrokenPipeError:
        _hush()
    except OSError as error:
        _hush()
        hint = "give a place that can be written"
        raise ConfigError(f"cannot write standard output: {error.strerror}", hint=hint) from error


def _hush() -> None:
    """What is still in the buffer goes nowhere, instead of failing once more at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
