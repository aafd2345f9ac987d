"""Results as a file: written in one step, read by any later version, guarded by a JSON Schema."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.results.model import SCHEMA_VERSION, CheckResult, Measurement, Results


def default_path(environ: Mapping[str, str]) -> Path:
    """``results.json`` in the XDG state directory."""
    state = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME", "/")) / ".local" / "state"
    return Path(state) / "paddle-bootstrap" / "results.json"


def schema() -> dict[str, Any]:
    """The JSON Schema of results files."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return data


def to_json(results: Results) -> dict[str, Any]:
    """``results`` as plain data, the verdict included."""
    return {
        "schema_version": results.schema_version,
        "tool": results.tool,
        "created": results.created,
        "verdict": results.verdict,
        "exit_code": results.exit_code,
        "stage": results.stage,
        "rehearsal": results.device == "cpu",
        "level": results.level,
        "device": results.device,
        "seconds": results.seconds,
        "host": results.host,
        "lock": results.lock,
        "target": results.target,
        "transfers": list(results.transfers),
        "checks": [_listed(asdict(check)) for check in results.checks],
    }


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def from_json(data: Mapping[str, Any]) -> Results:
    """The results that ``to_json`` wrote; keys that a later minor version added are left out."""
    kept = {key: data[key] for key in (field.name for field in fields(Results)) if key in data}
    return Results(**{**kept, "checks": tuple(_check(check) for check in data["checks"])})


def _check(data: Mapping[str, Any]) -> CheckResult:
    kept = {key: data[key] for key in (field.name for field in fields(CheckResult)) if key in data}
    measured = tuple(Measurement(**item) for item in data.get("measurements", ()))
    return CheckResult(**{**kept, "measurements": measured, "warnings": tuple(data.get("warnings", ()))})


def write(results: Results, path: Path) -> None:
    """Write ``results`` to ``path`` in one step."""
    write_text(json.dumps(to_json(results), indent=2, ensure_ascii=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a new file beside ``path`` and give it its name. Raises ConfigError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="give a path that can be written") from error


def read(path: Path) -> Results:
    """The results at ``path``. Raises ConfigError with what is wrong."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="run paddle-bootstrap verify first, or name a results file") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a results file: {error}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path} has schema version {version}, written by {data.get('tool')}", hint="update paddle-bootstrap to read it"
        )
    try:
        return from_json(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not a results file: {type(error).__name__}: {error}") from error
