"""The flags that verbs share, each defined once. Precedence: flag > PADDLE_BOOTSTRAP_* > settings files > built in."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from paddle_bootstrap import config, progress
from paddle_bootstrap.cli import values
from paddle_bootstrap.cli.values import PATH, TEXT
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.harness.acceptance import Acceptance
from paddle_bootstrap.host.rootfs import VARIABLE, root_from
from paddle_bootstrap.stages.wish import Judging, Wish, default_env, default_store
from paddle_bootstrap.supply.exempt import Exempt

F = TypeVar("F", bound=Callable[..., Any])


MIRROR_TABLES = "paddle_bootstrap.mirror_tables"  # where a run keeps the user's [[mirror]] tables


EXCEPTIONS = "paddle_bootstrap.audit_exceptions"  # and [[audit.exception]]
ACCEPTED = "paddle_bootstrap.accepted"  # and the rows of accept
FILES = "paddle_bootstrap.settings_files"  # and where all of that came from


def _load_settings(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    try:
        cwd = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory is gone", hint="change into another one: cd") from error
    files = config.files(value, os.environ, cwd)
    settings = config.load(files)
    ctx.meta[MIRROR_TABLES] = config.mirror_tables(files)
    ctx.meta[EXCEPTIONS] = config.audit_exceptions(files)
    ctx.meta[ACCEPTED] = config.acceptances(files)
    ctx.meta[FILES] = files
    ctx.default_map = {key.replace("-", "_"): item for key, item in settings.items()}


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option that PADDLE_BOOTSTRAP_<NAME> sets too."""
    long = next(name for name in names if name.startswith("--"))
    attributes.setdefault("envvar", "PADDLE_BOOTSTRAP_" + long.lstrip("-").replace("-", "_").upper())
    return click.option(*names, **attributes)


OPTIONS: Mapping[str, Callable[[Any], Any]] = {
    "env": _option(
        "--env", type=PATH, metavar="DIR", help="The target. Default: the active environment, else ./.venv-paddle."
    ),
    "python": _option(
        "--python",
        type=TEXT,
        metavar="VERSION|PATH",
        help="Python of a new target. Default: the newest the lock serves.",
    ),
    "paddle": _option(
        "--paddle",
        type=TEXT,
        metavar="auto|VERSION|RANGE",
        help="auto (the default): the newest that fits this host; or 3.3.1; or '>=3.1,<3.3'.",
    ),
    "build": _option(
        "--build", type=TEXT, metavar="NAME", help="cu118, cu126 ...; taken even if its machine code is not known."
    ),
    "gpus": _option(
        "--gpus",
        type=TEXT,
        callback=values.gpus,
        metavar="0,1",
        help="The GPUs meant, by number or UUID. Default: all that are visible.",
    ),
    "allow_older": _option(
        "--allow-older", is_flag=True, help="If no mirror has the newest build that fits, take the newest that one has."
    ),
    "extra": _option(
        "--extra",
        type=TEXT,
        multiple=True,
        callback=values.extras,
        metavar="REQUIREMENT",
        help="Put this into the lock beside Paddle: 'paddleocr==3.2.0'; repeatable.",
    ),
    "require_shipped": _option(
        "--require-shipped", is_flag=True, help="Refuse digests that are known from first use alone."
    ),
    "lock": _option("--lock", type=TEXT, metavar="FILE|NAME", help="A PEP 751 lock file, or a shipped lock's name."),
    "store": _option("--store", type=PATH, metavar="DIR", help="Where verified wheels are kept. Default: XDG cache."),
    "device": _option("--device", type=click.Choice(["gpu", "cpu"]), help="Default gpu; cpu is a rehearsal."),
    "mirror": _option(
        "--mirror", type=TEXT, multiple=True, metavar="NAME|URL", help="Repeatable; these only, in this order."
    ),
    "connections": _option(
        "--connections",
        type=click.IntRange(1, 64),
        metavar="N",
        help="To each mirror, at most. Default: its row's; a first use takes one.",
    ),
    "limit_rate": _option(
        "--limit-rate", callback=values.rate, metavar="RATE", help="Of all together, per second: 10M, 500k."
    ),
    "trusted_host": _option(
        "--trusted-host",
        multiple=True,
        callback=values.hosts,
        metavar="HOST[:PORT]",
        help="Do not check its certificate; repeatable.",
    ),
    "cuda_runtime": _option(
        "--cuda-runtime",
        type=click.Choice(["auto", "wheels", "system"]),
        default="auto",
        show_default=True,
        help="Where the CUDA libraries come from.",
    ),
    "in_place": _option(
        "--in-place", is_flag=True, help="Change the target directly where it cannot be swapped in one step."
    ),
    "repair": _option(
        "--repair", is_flag=True, help="Compare every file by sha256, not by size alone, and put right what differs."
    ),
    "keep_wheels": _option(
        "--keep-wheels/--no-keep-wheels",
        envvar="PADDLE_BOOTSTRAP_KEEP_WHEELS",
        default=True,
        show_default=True,
        help="Whether wheel files stay in the store once installed; the unpacked copies do.",
    ),
    "keep": _option(
        "--keep/--no-keep",
        envvar="PADDLE_BOOTSTRAP_KEEP",
        default=True,
        show_default=True,
        help="Whether the target's last state is kept beside it, for `rollback`.",
    ),
    "offline": _option(
        "--offline",
        is_flag=False,
        flag_value="",
        metavar="[BUNDLE]",
        help="No network: wheels are in the store, or in this bundle, whose lock and checks count too.",
    ),
    "allowed_signers": _option(
        "--allowed-signers",
        type=PATH,
        metavar="FILE",
        help="A bundle counts only when somebody named there signed it (ssh-keygen's file, or a minisign public key).",
    ),
    "sign_key": _option("--sign-key", type=PATH, metavar="FILE", help="Sign with this SSH or minisign key."),
    "compile_bytecode": _option(
        "--compile-bytecode/--no-compile-bytecode",
        envvar="PADDLE_BOOTSTRAP_COMPILE_BYTECODE",
        default=True,
        show_default=True,
        help="Whether modules are compiled; else the first import of each does that.",
    ),
    "level": _option(
        "--level",
        type=click.Choice(["quick", "standard", "deep"]),
        default="quick",
        show_default=True,
        help="How deep.",
    ),
    "checks": _option("--checks", type=PATH, multiple=True, metavar="DIR", help="A site's own check_*.py; repeatable."),
    "within": _option(
        "--within",
        type=TEXT,
        callback=values.seconds,
        metavar="TIME",
        help="Run what fits into 60s or 2m, the most valuable first, and list what did not.",
    ),
    "baseline": _option(
        "--baseline", type=PATH, metavar="FILE", help="A site's own floors, as `baseline record` writes them."
    ),
    "allow_busy": _option("--allow-busy", is_flag=True, help="Load GPUs too that another process uses."),
    "force_load": _option("--force-load", is_flag=True, help="Load GPUs too that failed a quick check."),
    "keyword": click.option(
        "-k", "keyword", type=TEXT, metavar="EXPR", help="Only checks whose id matches, as in pytest."
    ),
    "results": _option("--results", type=PATH, metavar="FILE", help="Where results.json goes. Default: XDG state."),
    "report": _option(
        "--report", multiple=True, metavar="[FORMAT:]FILE", help="Also write a report: terminal, json, junit."
    ),
}
FETCHING = ("connections", "limit_rate", "trusted_host")
CHOOSING = ("paddle", "build", "lock", "device", "gpus", "allow_older", "require_shipped")
PLANNING = ("env", "python", *CHOOSING, "store", "mirror", "cuda_runtime")
INSTALLING = (*PLANNING, *FETCHING)
OFFLINE = ("offline", "allowed_signers")
JUDGING = ("level", "checks", "keyword", "within", "baseline", "allow_busy", "force_load", "results", "report")


def options(*names: str) -> Callable[[F], F]:
    """Add the named flags, and those that every verb has."""

    def decorate(function: F) -> F:
        wrapped: Any = _observed(function)
        for name in reversed(names):
            wrapped = OPTIONS[name](wrapped)
        for common in reversed(_COMMON):
            wrapped = common(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return decorate


_COMMON = (
    click.option(
        "--config",
        type=PATH,
        is_eager=True,
        expose_value=False,
        envvar="PADDLE_BOOTSTRAP_CONFIG",
        callback=_load_settings,
        metavar="FILE",
        help="This settings file instead of ./paddle-bootstrap.toml and the user's and host's; /dev/null: none.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Say more on standard error, show evidence in reports."),
    _option("--json-progress", is_flag=True, help="Progress as one JSON object per line on standard error."),
    _option("--log-file", type=PATH, metavar="FILE", help="Append everything said, with times, to FILE."),
)


def _observed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run ``function`` with progress drawn on standard error and, if asked, written to the log file."""

    @functools.wraps(function)
    def run(*, verbose: bool, json_progress: bool, log_file: Path | None, **params: Any) -> Any:
        live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        log = _open_log(log_file)
        drawing: progress.JsonLines | progress.Drawing
        if json_progress:
            drawing = progress.JsonLines(sys.stderr, log=log)
        else:
            drawing = progress.Drawing(sys.stderr, verbose=verbose, live=live, log=log)
        try:
            with progress.observed_by(drawing):
                return function(verbose=verbose, **params)
        finally:
            drawing.finish()
            if log:
                log.close()

    return run


def _open_log(path: Path | None) -> Any:
    try:
        return path.open("a", encoding="utf-8") if path else None
    except OSError as error:
        raise click.UsageError(f"cannot write the log file {path}: {error.strerror}") from error


def mirror_tables() -> tuple[dict[str, Any], ...]:
    """The user's ``[[mirror]]`` tables, as the settings files of this run say."""
    context = click.get_current_context(silent=True)
    found: tuple[dict[str, Any], ...] = context.meta.get(MIRROR_TABLES, ()) if context else ()
    return found


def origin(error: click.ClickException) -> Path | None:
    """The settings file that holds the value which ``error`` is about; None: it came from elsewhere."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None or not error.param.name:
        return None
    if error.ctx.get_parameter_source(error.param.name) is not ParameterSource.DEFAULT_MAP:
        return None
    return config.file_of(error.ctx.meta[FILES], error.param.name.replace("_", "-"))


def _accepted() -> tuple[Acceptance, ...]:
    """The deviations that the settings files of this run accept."""
    found: tuple[Acceptance, ...] = click.get_current_context().meta.get(ACCEPTED, ())
    return found


def audit_exceptions() -> tuple[Exempt, ...]:
    """The ``[[audit.exception]]`` tables, as the settings files of this run say."""
    context = click.get_current_context(silent=True)
    found: tuple[Exempt, ...] = context.meta.get(EXCEPTIONS, ()) if context else ()
    return found


def _root(environ: Mapping[str, str]) -> Path:
    """A root that is not there would read as a host without anything, and be rejected for it."""
    root = root_from(environ)
    if not os.path.isdir(root):  # noqa: PTH112 false, not an error, for whatever cannot be looked at
        raise UsageError(f"{VARIABLE}={root}: no such directory", hint="name the folder where the host's / is mounted")
    return root


def wish(params: Mapping[str, Any]) -> Wish:
    """What the user asked for, as one value for the stages."""
    environ = dict(os.environ)
    if params.get("gpus"):
        environ["CUDA_VISIBLE_DEVICES"] = params["gpus"]  # for the facts, the checks and what they run
    wanted = Wish(
        env=(params.get("env") or default_env(environ, Path.cwd())).absolute(),
        python=params.get("python"),
        paddle=params.get("paddle"),
        build=params.get("build"),
        gpus=params.get("gpus"),
        allow_older=bool(params.get("allow_older")),
        lock=params.get("lock"),
        extra=_extra(params),
        require_shipped=bool(params.get("require_shipped")),
        store=(params.get("store") or default_store(environ)).absolute(),
        device=params.get("device"),
        mirrors=tuple(params.get("mirror") or ()),
        mirror_tables=mirror_tables(),
        cuda_runtime=params.get("cuda_runtime") or "auto",
        in_place=bool(params.get("in_place")),
        repair=bool(params.get("repair")),
        keep=bool(params.get("keep", True)),
        keep_wheels=bool(params.get("keep_wheels", True)),
        compile_bytecode=bool(params.get("compile_bytecode", True)),
        terms=Terms(params.get("connections"), params.get("limit_rate"), tuple(params.get("trusted_host") or ())),
        environ=environ,
        root=_root(environ),
        cwd=Path.cwd(),
    )
    return wanted if params.get("offline") is None else _offline(wanted, params)


def _extra(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Every verb that may compose a lock obeys the settings; only ``lock`` has a flag for it."""
    context = click.get_current_context(silent=True)
    settings = (context.default_map or {}) if context else {}
    return tuple(params.get("extra") or settings.get("extra") or ())


def _offline(wanted: Wish, params: Mapping[str, Any]) -> Wish:
    """``--offline``, with or without a bundle. A mirror from the settings is for other days."""
    from paddle_bootstrap.stages.offline import offline  # the reader of bundles is rarely needed

    context = click.get_current_context()
    if wanted.mirrors and context.get_parameter_source("mirror") is ParameterSource.COMMANDLINE:
        raise UsageError("--offline asks no mirror, but --mirror names one", hint="leave one of them out")
    bundle = Path(params["offline"]).absolute() if params["offline"] else None
    return offline(wanted, bundle, params.get("allowed_signers"))


def judging(params: Mapping[str, Any], wanted: Wish | None = None) -> Judging:
    """How deep to look, and with whose checks: the bundle's too, if there is one."""
    brought = wanted.bundle.checks if wanted and wanted.bundle else ()
    checks = (*(path.absolute() for path in params["checks"]), *brought)
    return Judging(
        params["level"],
        checks,
        params["keyword"],
        within=params["within"],
        baseline=params["baseline"],
        allow_busy=params["allow_busy"],
        force_load=params["force_load"],
        accepted=_accepted(),
    )


def color() -> bool:
    """Colour on a terminal, unless NO_COLOR or a dumb one says otherwise."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
