"""``paddle-bootstrap audit``: lock + advisories -> findings."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from paddle_bootstrap.cli.options import audit_exceptions, options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.stages.audit import Audit, audit_lock
from paddle_bootstrap.supply.audit import Finding


@click.command("audit")
@options("lock", "paddle", "device")
@click.option(
    "--osv",
    envvar="PADDLE_BOOTSTRAP_OSV",
    metavar="PATH|URL",
    help="An export of OSV (a JSON file, a folder, osv.dev's PyPI/all.zip), or the address of a service with its API.",
)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def command(*, osv: str | None, as_json: bool, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Compare a lock with published advisories (OSV).

    Exits 0 when nothing is known against any package of the lock, 1 with findings, 3 when it could not look. Exceptions
    stand in the settings as [[audit.exception]], each with a reason and a last day.
    """
    if not osv:
        raise UsageError(
            "where to look is not known",
            hint="--osv all.zip (an export from osv.dev), --osv https://HOST of a service, or [audit] osv in the settings",
        )
    audit = audit_lock(wish(params), osv, audit_exceptions())
    if as_json:
        say(json.dumps(_document(audit), indent=2, default=str))
    else:
        for line in _lines(audit):
            say(line)
    return 0 if audit.clean else 1


def _document(audit: Audit) -> dict[str, Any]:
    return {
        "lock": audit.lock.name,
        "lock_sha256": audit.lock.sha256,
        "source": audit.known.source,
        "records": audit.known.records,
        "newest": audit.known.newest,
        "packages": audit.packages,
        "clean": audit.clean,
        "findings": [{**asdict(finding), "counts": finding.counts} for finding in audit.findings],
    }


def _lines(audit: Audit) -> list[str]:
    found = [finding for finding in audit.findings if finding.counts]
    rows = [(f"{item.package} {item.version}", item.id, _fixed(item), item.severity, item.summary) for item in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    lines = []
    for item, row in zip(found, rows, strict=True):
        lines.append(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        )
        if item.aliases:
            lines.append(f"    also {', '.join(item.aliases)}")
        if item.exempt:
            lines.append(f"    the exception for it ended on {item.exempt.expires}: {item.exempt.reason}")
    for item in audit.findings:
        if item.exempt and not item.expired:
            until = f"until {item.exempt.expires}: {item.exempt.reason}"
            lines.append(f"excepted: {item.package} {item.version} {item.id} {until}")
    known = audit.known
    size = f"{known.records} advisories about PyPI" if known.records is not None else "a service"
    newest = f", the newest of {known.newest[:10]}" if known.newest else ""
    lines.append(
        f"{audit.lock.name}: {len(found)} findings in {audit.packages} packages ({known.source}: {size}{newest})"
    )
    return lines


def _fixed(finding: Finding) -> str:
    return f"fixed in {', '.join(finding.fixed)}" if finding.fixed else "no fix known"
