"""Known deviations that a site accepts: a pass that every report still shows, with its reason and its last day."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors.tables import nearest
from paddle_bootstrap.results.model import CheckResult

_KEYS = {"check": True, "reason": True, "expires": True, "model": False}  # and whether it must be there
_FORM = 'accept = [{check = "memory.size", model = "RTX 4090", reason = "...", expires = 2027-01-01}]'
_NO_ANSWER = "covers what is found, and nothing was"
_RENEW = "mend the host, or renew the acceptance in the settings"


@dataclass(frozen=True)
class Acceptance:
    """One row of ``accept`` in the settings. ``check``: an id, with or without its device."""

    check: str
    reason: str
    expires: date
    model: str | None = None  # a part of the GPU's name; None: any

    def meets(self, check_id: str, model: str | None) -> bool:
        """Is this the deviation of ``check_id`` on a GPU of ``model``?"""
        ours = check_id == self.check or check_id.partition("[")[0] == self.check
        return ours and (self.model is None or (model is not None and self.model.lower() in model.lower()))


def allowed(
    result: CheckResult, accepted: Sequence[Acceptance], model: str | None, today: date | None = None
) -> CheckResult:
    """``result`` with the acceptance that covers it, or with a word on the one that does not.

    What was found can be accepted. A crash, a hang or a missing GPU found nothing: whatever else is wrong would pass with it.
    """
    if result.outcome not in ("failed", "warned"):
        return result
    rows = [row for row in accepted if row.meets(result.id, model)]
    if rows and result.cause not in (None, "assertion"):
        return replace(result, summary=f"{result.summary}; its acceptance ({rows[0].reason}) {_NO_ANSWER}")
    valid = [row for row in rows if row.expires >= (today or date.today())]
    if valid:
        told = {"reason": valid[0].reason, "expires": valid[0].expires.isoformat()}
        return replace(result, accepted=told)
    if rows:
        ended = f"its acceptance ({rows[0].reason}) expired on {rows[0].expires}"
        return replace(result, summary=f"{result.summary}; {ended}", fix=result.fix or _RENEW)
    return result


def idle(accepted: Sequence[Acceptance], known: Collection[str]) -> tuple[str, ...]:
    """What is wrong with each row that names no check there is: it would be without effect for ever, and silently."""
    found = []
    for row in accepted:
        name = row.check.partition("[")[0]
        if name not in known:
            from difflib import get_close_matches  # slow to import, and seldom needed

            near = get_close_matches(name, sorted(known), n=1)
            told = f"did you mean {near[0]}?" if near else "see all: paddle-bootstrap verify --list"
            found.append(f"accept: there is no check {row.check}; {told}")
    return tuple(found)


def from_table(table: Any, where: str) -> Acceptance:
    """One row of ``accept``. Raises ConfigError: an acceptance without a reason or an end is none."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: accept holds tables", hint=_FORM)
    for key, value in table.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}: accept: unknown key {key!r}", hint=nearest(key, _KEYS))
        if key != "expires" and not (isinstance(value, str) and value.strip()):
            raise ConfigError(f"{where}: accept: {key} must be a text, not {value!r}", hint=_FORM)
    lacking = [key for key, needed in _KEYS.items() if needed and key not in table]
    if lacking:
        raise ConfigError(f"{where}: accept: {', '.join(lacking)} missing in {dict(table)}", hint=_FORM)
    try:
        expires = toml.day(table["expires"])
    except ValueError as error:
        raise ConfigError(f"{where}: accept: {table['check']}: expires: {error}", hint=_FORM) from error
    return Acceptance(table["check"], table["reason"], expires, table.get("model"))
