"""Loads a workload here, to call it without a target."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

WORKLOADS = Path(__file__).resolve().parents[2] / "checks" / "workloads"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"workload_{name}", WORKLOADS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
