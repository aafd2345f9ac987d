"""Imports point down only, and heavy or drawing modules stay in their rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "paddle_bootstrap"
LAYERS = (
    {"errors", "digest", "progress", "filelock", "replacing", "surroundings", "toml", ""},
    {"host", "releases", "mirrors", "results", "unpack"},
    {"lock", "fetch", "install", "harness", "reports", "diagnose", "images"},
    {"bundle", "fleet", "supply"},
    {"stages"},
    {"cli", "config"},
    {"__main__"},
)
MODELS = {"lock.model", "host.facts"}  # data that a room's siblings may read


def layer_of(room: str) -> int:
    return next(index for index, rooms in enumerate(LAYERS) if room in rooms)


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def breaches(path: Path) -> list[str]:
    room = room_of(path)
    own = layer_of(room)
    wrong = []
    for name in sorted(imports(path)):
        if not name.startswith("paddle_bootstrap"):
            continue
        rest = name.removeprefix("paddle_bootstrap").lstrip(".")
        other = rest.split(".")[0]
        other = other if any(other in rooms for rooms in LAYERS) else ""
        is_model = any(rest.startswith(model) for model in MODELS)
        if layer_of(other) > own or (
            layer_of(other) == own and other != room and own > 0 and not is_model and room != "cli"
        ):
            wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    return wrong


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert breaches(path) == []


@pytest.mark.parametrize(
    ("module", "rooms"),
    [("click", {"cli"}), ("pytest", {"harness"}), ("pynvml", {"host"}), ("paddle", set())],
)
def test_modules_stay_in_their_rooms(module: str, rooms: set[str]) -> None:
    users = {room_of(path) for path in SOURCES if any(name.split(".")[0] == module for name in imports(path))}
    assert users <= rooms


def test_the_test_can_fail(tmp_path: Path) -> None:
    upward = PACKAGE / "host" / "facts.py"
    assert breaches(upward) == []
    assert imports(PACKAGE / "cli" / "__init__.py") >= {"click"}
    assert layer_of("cli") > layer_of("host")


def test_nothing_prints() -> None:
    calls = [
        str(path)
        for path in SOURCES
        if room_of(path) != "cli" and path.name not in ("nvml_child.py", "probe_python.py", "worker.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []
