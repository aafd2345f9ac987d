"""A small bundle of fake members: the format without the tool in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from paddle_bootstrap.bundle import writing
from paddle_bootstrap.bundle.writing import Part, Sign
from tests.fakes.wheels import FakeWheel

FACTS: dict[str, Any] = {
    "version": "0.1.0",
    "device": "cpu",
    "python": "3.11",
    "machine": os.uname().machine,
    "glibc": "2.17",
    "tool_pythons": ["3.10", "3.11"],
    "interpreter": None,
    "interpreter_python": None,
    "checks": ["checks/site"],
}
CHECK = b"def check_nothing():\n    assert True\n"


def parts_of(lock: Path, wheels: tuple[FakeWheel, ...]) -> list[Part]:
    stored = [
        Part(f"store/wheels/sha256/{wheel.sha256[:2]}/{wheel.sha256}/{wheel.path.name}", wheel.path) for wheel in wheels
    ]
    return [Part(f"lock/{lock.name}", lock), Part("checks/site/check_site.py", CHECK), *stored]


def make(
    output: Path,
    lock: Path,
    wheels: tuple[FakeWheel, ...],
    *,
    sign: Sign | None = None,
    split: int | None = None,
    **facts: Any,
) -> tuple[Path, ...]:
    """A bundle of ``wheels`` and their lock, without a tool; ``facts`` instead of the usual ones."""
    parts = parts_of(lock, wheels)
    text = writing.manifest(parts, {**FACTS, "lock": f"lock/{lock.name}", **facts})
    return writing.write(output, parts, text, sign=sign, split=split)
