"""The lines above and below the checks: what was judged, and what to do now."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.reports.gathering import names
from paddle_bootstrap.results.model import CheckResult, Results

_NAMED = 8  # checks that a closing line names
_ID = 50  # characters of a check's id that a closing line has room for


def rows(results: Results) -> Iterator[tuple[str, str]]:
    """Host, lock, target and what was fetched: (label, text)."""
    said = (
        ("host", _host(results.host)),
        ("lock", _lock(results)),
        ("digests", _first_use(results.lock or {})),
        ("target", _target(results.target or {})),
        ("fetched", _fetched(results)),
        ("partly", ", ".join(f"{flag} {value}" for flag, value in results.asked.items())),
    )
    return ((label, text) for label, text in said if text)


def _host(host: Mapping[str, Any]) -> str:
    module = _mapping(host.get("driver")).get("kernel_module")
    gpus = host.get("gpus")
    parts = [_text(host.get("hostname")), _text(host.get("os"))]
    parts.append(f"driver {module}" if isinstance(module, str) else "no NVIDIA driver")
    if isinstance(gpus, list) and gpus:
        names = [_text(_mapping(gpu).get("name")) for gpu in gpus]
        parts.append(", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)))
    else:
        parts.append("no GPU")
    return ", ".join(parts)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "unknown"


def _lock(results: Results) -> str:
    if not results.lock:
        return "none: the environment was not installed by paddle-bootstrap" if results.target else ""
    build = _mapping(results.lock.get("build"))
    if not build:
        return str(results.lock["name"])
    cuda = f", CUDA {build['cuda']}" if build.get("cuda") else ""
    return f"{results.lock['name']}: {build.get('package')} {build.get('version')}{cuda}"


def _first_use(lock: Mapping[str, Any]) -> str:
    """What nobody but the file's own host vouches for."""
    found = lock.get("first_use")
    return "; ".join(map(_text, found)) if isinstance(found, list) else ""


def _target(target: Mapping[str, Any]) -> str:
    if not target:
        return ""
    python = f", Python {target['python']}" if target.get("python") else ""
    libraries = {"wheels": ", CUDA libraries from NVIDIA's wheels", "system": ", CUDA libraries of the system"}
    return f"{target['env']}{python}{libraries.get(_text(target.get('cuda_runtime')), '')}"


def _fetched(results: Results) -> str:
    """How many files, from which mirrors, and who sent wrong bytes. One file may have come from several mirrors."""
    fetched = {record["filename"] for record in results.transfers if record["outcome"] == "fetched"}
    if not fetched:
        return ""
    size = human_bytes(sum(record["bytes"] for record in results.transfers))
    liars = _mirrors(record for record in results.transfers if record["outcome"] == "wrong")
    helpers = _mirrors(record for record in results.transfers if record["bytes"] and record["outcome"] != "wrong")
    wrong = f"; WRONG BYTES from {', '.join(liars)}, which were not used" if liars else ""
    return f"{len(fetched)} wheel{'s' if len(fetched) > 1 else ''}, {size} from {', '.join(helpers)}{wrong}"


def _mirrors(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(record["mirror"].partition(" (")[0] for record in records))


def failed(results: Results) -> str:
    """Which checks failed, where there are several: the next command below is that of one."""
    found = list(names([check for check in results.checks if check.counts_as == "failed"]))
    return f"failed: {_few(found)}" if len(found) > 1 else ""


def closing(results: Results) -> str:
    """What to do now."""
    if results.verdict == "inconclusive":
        return f"inconclusive: {_open(results.checks)}"
    if results.verdict == "rejected":
        fixable = [check for check in results.checks if check.counts_as == "failed" and check.fix]
        return f"next{_for(fixable[0].id)}: {fixable[0].fix}" if fixable else ""
    if results.device == "cpu":
        return "next: the same on a GPU host: paddle-bootstrap up"
    return f"to use it: source {shlex.quote(results.target['env'] + '/bin/activate')}" if results.target else ""


def _for(id_: str) -> str:
    return f", for {id_}" if len(id_) <= _ID else ""


def _open(checks: tuple[CheckResult, ...]) -> str:
    without = list(names([check for check in checks if check.required and check.outcome in ("skipped", "error")]))
    if without:
        return f"required, but without an answer: {_few(without)}"
    if checks:
        return "every check was skipped: nothing was proved"
    return "no check ran: nothing was proved; leave out -k, or give one that matches"


def _few(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
