"""The command line: one lazily loaded file per verb, one error boundary, one place that decides on exit codes."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Sequence

import click

from paddle_bootstrap import __version__
from paddle_bootstrap.errors import BootstrapError, of_host

INTERRUPTED = 130

# The short help stands here so that `--help` imports no verb; a test holds it against each verb's own.
VERBS = {
    "plan": "Show the chosen build, what would be fetched from where, and what would change.",
    "lock": "Compose a lock for any build, check one against mirrors, or move the project's on.",
    "fetch": "Download and verify a lock's wheels into the store.",
    "install": "Make or update the target from a lock, in one step.",
    "adopt": "Compare an environment made by hand (pip, conda) with a lock; it gets a receipt if it matches.",
    "verify": "Run the checks on an installed target, or on the host alone, and judge it.",
    "report": "Render a results file again, anywhere.",
    "baseline": "Make a site's own floors from accepted runs.",
    "rollback": "Put the target's last state back, in one step; once more goes forward again.",
    "uninstall": "Remove the target, or what was installed into an environment that was there before; in one step.",
    "store": "Show, prune or verify the store of wheels.",
    "sbom": "Write the bill of materials of a target or a lock (CycloneDX JSON).",
    "bundle": "One file for a host without a network: make it, verify it, import it.",
    "audit": "Compare a lock with published advisories (OSV).",
    "mirror": "Rank the mirrors, and set pip and uv to one of them.",
    "up": "Host to verdict: preflight, fetch, install, verify, report.",
}


class LazyGroup(click.Group):
    """Imports a verb's module only when that verb runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"paddle_bootstrap.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            from difflib import get_close_matches  # slow to import, and seldom needed

            near = get_close_matches(name, VERBS, n=1)
            ctx.fail(
                f"no such verb: {name!r}; {f'did you mean {near[0]}?' if near else 'it is one of ' + ', '.join(VERBS)}"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="paddle-bootstrap", message="%(prog)s %(version)s")
def main() -> None:
    """From a bare Linux host to a PaddlePaddle environment that is proved to train on its GPUs.

    \b
    Exit codes: 0 accepted, 1 rejected, 2 usage, 3 inconclusive, 10 no build or lock fits,
    11 damaged lock, 12 no mirror could serve, 13 wrong bytes, 14 install failed, 70 our bug,
    130 interrupted.
    """


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code. The only place where errors become text."""
    try:
        outcome = main.main(list(argv), prog_name="paddle-bootstrap", standalone_mode=False)
    except click.exceptions.Abort:
        return _interrupted(in_place="--in-place" in argv)
    except KeyboardInterrupt:
        return _interrupted(in_place="--in-place" in argv)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        error.show()
        if file := _origin(error):
            click.echo(f"next:  correct it in {file}", err=True)
        return 2
    except BootstrapError as error:
        _show(error)
        return error.exit_code
    except SystemExit:  # click's answer when nobody reads standard error any more; its 1 would say "rejected"
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 the boundary: what the host does not explain is our own bug
        if known := of_host(error):
            _show(known)
            return known.exit_code
        traceback.print_exc()
        click.echo("\nThis is a bug in paddle-bootstrap: please report it with the lines above.", err=True)
        return 70
    return outcome if isinstance(outcome, int) else 0


def _origin(error: click.ClickException) -> object:
    from paddle_bootstrap.cli.options import origin  # rarely needed, and --help shall start at once

    return origin(error)


def _interrupted(*, in_place: bool) -> int:
    state = "the target may be half changed" if in_place else "the target is as it was"
    click.echo(f"\ninterrupted: {state}; run the same command again to continue", err=True)
    return INTERRUPTED


def _show(error: BootstrapError) -> None:
    click.echo(f"error: {error}", err=True)
    for attempt in error.tried:
        click.echo(f"  - {attempt}", err=True)
    if error.hint:
        click.echo(f"next:  {error.hint}", err=True)
