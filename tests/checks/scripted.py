"""A copy of one of the tool's files of checks as a site's own, so that a test can give it other workloads and deadlines."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.checks.workload import WORKLOADS


def copy(name: str, folder: Path, limits: Mapping[str, str]) -> Path:
    """``check_NAME.py`` as ``check_scripted.py`` in ``folder``, data beside it; ``limits``: what stands there -> instead."""
    (folder / "workloads").mkdir(parents=True)
    for data in WORKLOADS.parent.glob("*.toml"):
        shutil.copy(data, folder)
    shutil.copy(WORKLOADS.parent / f"check_{name}.py", folder / "check_scripted.py")
    file = folder / "limits.toml"
    text = file.read_text()
    for old, new in limits.items():
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text)
    return folder


def functions(name: str) -> dict[str, Any]:
    """What check_NAME.py defines, to call it by itself."""
    return runpy.run_path(str(WORKLOADS.parent / f"check_{name}.py"))
