"""The JSON Schema of results files, and what of a document does not follow it.

Reading must not need a package that only tests have, and the schema must not be told twice: the few keywords that it
uses are read here. A test holds this against the jsonschema package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Rule = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


@cache
def schema() -> dict[str, Any]:
    """The schema itself."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return data


def misfits(data: Any) -> Iterator[str]:
    """What does not follow the schema, each with its place: ``checks[3].outcome: ...``."""
    return _misfits(data, schema(), "")


def _misfits(value: Any, rule: Rule, place: str) -> Iterator[str]:
    if "$ref" in rule:
        yield from _misfits(value, schema()["$defs"][rule["$ref"].rpartition("/")[2]], place)
        return
    wrong = _wrong(value, rule)
    if wrong:
        yield f"{place or 'the document'}: {wrong}"
    elif isinstance(value, dict):
        yield from _in_object(value, rule, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _misfits(item, rule.get("items", {}), f"{place}[{index}]")


def _wrong(value: Any, rule: Rule) -> str:
    types = rule.get("type", ())
    names = [types] if isinstance(types, str) else list(types)
    if names and not any(_TYPES[name](value) for name in names):
        return f"{_shown(value)} is no {' or '.join(names)}"
    allowed = rule.get("enum", [rule["const"]] if "const" in rule else None)
    if allowed is not None and not any(item == value and type(item) is type(value) for item in allowed):
        return f"{_shown(value)} is not one of {', '.join(map(_shown, allowed))}"
    if isinstance(value, str) and len(value) < rule.get("minLength", 0):
        return f"{_shown(value)} is too short"
    if "minimum" in rule and value < rule["minimum"]:
        return f"{_shown(value)} is less than {rule['minimum']}"
    return ""


def _in_object(value: Mapping[str, Any], rule: Rule, place: str) -> Iterator[str]:
    for key in rule.get("required", ()):
        if key not in value:
            yield f"{place or 'the document'}: {key} is missing"
    known, other = rule.get("properties", {}), rule.get("additionalProperties")
    for key, item in value.items():
        found = known.get(key, other if isinstance(other, dict) else {})
        yield from _misfits(item, found, f"{place}.{key}".lstrip("."))


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
