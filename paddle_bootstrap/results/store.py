"""Results as a file: written in one step, read by any later version, guarded by a JSON Schema."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.results import table
from paddle_bootstrap.results.model import SCHEMA_VERSION, CheckResult, Measurement, Results
from paddle_bootstrap.results.schema import misfits

_ANOTHER = "name the results.json of a run, or make one: paddle-bootstrap verify --results FILE"
XID_HISTORY = "kernel.xid_history"  # the check that judges what the kernel logged of the GPUs
_SHOWN = 4  # misfits told of one document


def default_path(environ: Mapping[str, str]) -> Path:
    """``results.json`` in the XDG state directory."""
    state = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME", "/")) / ".local" / "state"
    return Path(state) / "paddle-bootstrap" / "results.json"


def accepted_path(environ: Mapping[str, str], hostname: str) -> Path:
    """Beside the results: when this host was accepted last. A later run that is not leaves it as it is, and so do those of
    other hosts that share the directory."""
    return default_path(environ).with_name(f"accepted-{quote(hostname, safe='')}.json")


def note_accepted(results: Results, environ: Mapping[str, str]) -> None:
    """Keep when a run began that accepted the host's GPUs, their Xids among the rest: what the kernel had logged by then is
    judged. A run that did not look at the log says nothing of it. Raises ConfigError."""
    if results.verdict == "accepted" and results.device == "gpu" and _judged_the_log(results):
        began = datetime.fromisoformat(results.created) - timedelta(seconds=results.seconds)
        said = json.dumps({"began": began.isoformat(), "tool": results.tool})
        write_text(said + "\n", accepted_path(environ, results.host["hostname"]))


def _judged_the_log(results: Results) -> bool:
    """Without a log that can be read, what stands in for it is judged; what the site accepts for a time is judged again,
    and so is what speaks against a card that this process was not given."""
    looked = any(
        check.id == XID_HISTORY and check.outcome != "skipped" and not check.accepted for check in results.checks
    )
    return looked and "kernel_log" not in results.host and _saw_every_card(results.host)


def _saw_every_card(host: Mapping[str, Any]) -> bool:
    bus, gpus = host.get("pci_gpus"), host.get("gpus")
    told = [gpu.get("pci_address") for gpu in gpus] if isinstance(gpus, list) else []
    return isinstance(bus, list) and {address for address in told if isinstance(address, str)}.issuperset(bus)


def last_accepted(environ: Mapping[str, str], hostname: str) -> datetime | None:
    """When the last run began that accepted this host; None: never, or nobody can tell."""
    try:
        told = json.loads(accepted_path(environ, hostname).read_text(encoding="utf-8"))
        return datetime.fromisoformat(told["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def to_json(results: Results) -> dict[str, Any]:
    """``results`` as plain data, the verdict included."""
    document = {
        "schema_version": results.schema_version,
        "tool": results.tool,
        "created": results.created,
        "verdict": results.verdict,
        "exit_code": results.exit_code,
        "stage": results.stage,
        "rehearsal": results.device == "cpu",
        "level": results.level,
        "device": results.device,
        "asked": dict(results.asked),
        "seconds": results.seconds,
        "host": results.host,
        "lock": results.lock,
        "target": results.target,
        "transfers": results.transfers,
        "checks": [asdict(check) for check in results.checks],
        "measurements": table.as_data(results.checks),
        "accepted": table.accepted(results.checks),
    }
    listed: dict[str, Any] = _listed(document)
    return listed


def text(results: Results) -> str:
    """The document as a file holds it. Bytes of a path that are no UTF-8 become JSON's own escapes."""
    written = json.dumps(to_json(results), indent=2, ensure_ascii=False, allow_nan=False)
    return written.encode("utf-8", "backslashreplace").decode() + "\n"


def _listed(value: Any) -> Any:
    """Tuples as lists; a number that JSON has no word for as null."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def from_json(data: Any) -> Results:
    """The results that ``to_json`` wrote, now or in any version that writes schema version 1.

    Keys that came later are left out. Raises ConfigError for whatever does not follow the schema, and for a verdict
    that does not follow from the checks.
    """
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"its schema version is {version}, written by {data.get('tool')}", hint="update paddle-bootstrap to read it"
        )
    wrong = list(itertools.islice(misfits(data), _SHOWN))
    if wrong:
        raise ConfigError(f"it is not a results file: {wrong[0]}", hint=_ANOTHER, tried=wrong[1:])
    results = Results(**{**_known(Results, data), "checks": tuple(map(_check, data["checks"]))})
    if results.verdict != data["verdict"]:
        raise ConfigError(
            f"it says {data['verdict']}, but its checks say {results.verdict}: it was changed by hand", hint=_ANOTHER
        )
    return results


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(kind) if field.name in data}


def _check(data: Mapping[str, Any]) -> CheckResult:
    measured = tuple(map(_measurement, data["measurements"]))
    return CheckResult(**{**_known(CheckResult, data), "measurements": measured, "warnings": tuple(data["warnings"])})


def _measurement(data: Mapping[str, Any]) -> Measurement:
    value = math.nan if data["value"] is None else data["value"]
    return Measurement(**{**_known(Measurement, data), "value": value})


def write(results: Results, path: Path) -> None:
    """Write ``results`` to ``path`` in one step."""
    write_text(text(results), path)


def write_text(content: str, path: Path) -> None:
    """Write a new file beside ``path`` and give it its name. Raises ConfigError.

    A link or a device (``/dev/stdout``) is written through, never replaced.
    """
    through = path.is_symlink() or (path.exists() and not path.is_file())
    fresh = path if through else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(content, encoding="utf-8", errors="backslashreplace")
        if not through:
            fresh.replace(path)
    except OSError as error:
        if not through:
            with contextlib.suppress(OSError):
                fresh.unlink()
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="give a path that can be written") from error


def read(path: Path) -> Results:
    """The results at ``path``. Raises ConfigError with what is wrong."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=_ANOTHER) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: it is not a results file: {error}", hint=_ANOTHER) from error
    try:
        return from_json(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}", hint=error.hint, tried=error.tried) from error
