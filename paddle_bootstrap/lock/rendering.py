"""The text of a shipped lock: the same pins give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from paddle_bootstrap.errors import NoBuildFits
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.pylock import SCHEMA, TOOL

ENVIRONMENT = "sys_platform == 'linux' and platform_machine == 'x86_64' and platform_python_implementation == 'CPython'"


@dataclass
class Pin:
    """One version of one distribution: the Pythons that take it, and each one's wheel."""

    name: str
    version: str
    group: str | None
    wheels: dict[str, Wheel] = field(default_factory=dict)  # python -> wheel


def render(source: Mapping[str, Any], pins: Sequence[Pin], unpacked: int) -> str:
    """The lock of one row of sources.toml. ``unpacked``: bytes of the wheels of the largest Python, unpacked."""
    pythons = source["pythons"]
    groups = sorted({pin.group for pin in pins if pin.group})
    lines = [
        f"# Made by {source.get('made_by', '`make locks` from sources.toml')}; do not edit.",
        'lock-version = "1.0"',
        f"environments = [{_value(ENVIRONMENT)}]",
        f'requires-python = ">={pythons[0]},<3.{int(pythons[-1].split(".")[1]) + 1}"',
        *([f"dependency-groups = {_value(groups)}", f"default-groups = {_value(groups)}"] if groups else []),
        'created-by = "paddle-bootstrap"',
    ]
    for pin in pins:
        lines += ["", *_package(pin, pythons)]
    return "\n".join([*lines, *_tool(source, unpacked)]) + "\n"


def _package(pin: Pin, pythons: Sequence[str]) -> list[str]:
    marker = _marker(pin, pythons)
    wheels = sorted({wheel.filename: wheel for wheel in pin.wheels.values()}.items())
    return [
        "[[packages]]",
        f"name = {_value(pin.name)}",
        f"version = {_value(pin.version)}",
        *([f"marker = {_value(marker)}"] if marker else []),
        "wheels = [",
        *(_row(wheel) for _, wheel in wheels),
        "]",
    ]


def _row(wheel: Wheel) -> str:
    name = _value(wheel.filename)
    return f'    {{ name = {name}, path = {name}, size = {wheel.size}, hashes = {{ sha256 = "{wheel.sha256}" }} }},'


def _tool(source: Mapping[str, Any], unpacked: int) -> list[str]:
    build = source["build"]
    lines = ["", f"[tool.{TOOL}]", f"schema = {SCHEMA}"]
    lines += [f"{key} = {_value(value)}" for key, value in build.items() if key != "libraries" and value is not None]
    lines += [f"unpacked_bytes = {unpacked}"]
    lines += [f"extra = {_value(list(source['extra']))}"] if source.get("extra") else []
    if libraries := build.get("libraries"):
        lines += ["", f"[tool.{TOOL}.libraries]"]
        lines += [f"{key} = {_value(libraries[key])}" for key in ("group", "link")]
        lines += ["", f"[tool.{TOOL}.libraries.needs]"]
        lines += [f"{_value(name)} = {_value(major)}" for name, major in libraries["needs"].items()]
    for learned in source.get("learned", ()):
        lines += ["", f"[[tool.{TOOL}.learned]]"]
        lines += [f"{key} = {_value(value)}" for key, value in asdict(learned).items() if value is not None]
    return lines


def _marker(pin: Pin, pythons: Sequence[str]) -> str | None:
    """Its group, and the Pythons that take this version as one range, so that two versions never meet in one Python."""
    taken = [python for python in pythons if python in pin.wheels]
    first, last = taken[0], taken[-1]
    if taken != list(pythons[pythons.index(first) : pythons.index(last) + 1]):
        raise NoBuildFits(
            f"{pin.name} {pin.version} is taken by Python {', '.join(taken)}, which is not one range",
            hint="constrain it in sources.toml so that each version serves neighbouring Pythons",
        )
    terms = [f"'{pin.group}' in dependency_groups"] if pin.group else []
    if first != pythons[0]:
        terms.append(f"python_version >= '{first}'")
    if last != pythons[-1]:
        terms.append(f"python_version <= '{last}'")
    return " and ".join(terms) or None


def _value(value: Any) -> str:
    return json.dumps(value)  # strings, numbers, booleans and lists look the same in TOML
