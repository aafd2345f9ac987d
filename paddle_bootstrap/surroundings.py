"""What a child process may know of the settings of whoever runs us."""

from __future__ import annotations

from collections.abc import Mapping

_SETTINGS = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_", "SOURCE_DATE_EPOCH")


def neutral(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what would change how Python, pip or uv behave."""
    return {name: value for name, value in environ.items() if not name.startswith(_SETTINGS)}
