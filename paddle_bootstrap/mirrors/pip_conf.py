"""Changes values in pip's settings file line by line: what is not changed stays as it is, comments and order included."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddle_bootstrap.errors import ConfigError

SECTION = "global"
_HEADER = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<key>[^:=\s][^:=]*?)\s*(?P<delimiter>[:=])")


@dataclass(frozen=True)
class _Option:
    """One option of ``[global]``: its lines, comments inside its value left out."""

    key: str  # as pip knows it: index-url
    lines: tuple[int, ...]


def with_values(text: str, values: Mapping[str, str]) -> str:
    """``text`` with ``[global]``'s ``values`` set. Raises ConfigError for what pip itself cannot read."""
    _require_readable(text)
    for key, value in values.items():
        text = _with_value(text, key, value)
    return text


def value_of(text: str, key: str) -> str:
    """``[global]``'s value of ``key``, as written; empty when it has none."""
    parser = configparser.RawConfigParser()
    parser.read_string(text.removeprefix("\ufeff"))
    section = parser[SECTION] if parser.has_section(SECTION) else {}
    return next((value for name, value in section.items() if _normal(name) == key), "")


def _with_value(text: str, key: str, value: str) -> str:
    lines = text.splitlines(keepends=True)
    end = "\r\n" if text.count("\r\n") > text.count("\n") / 2 else "\n"
    written = f"{key} = {value.replace(chr(10), f'{end}    ')}{end}"
    header, options = _section(lines)
    same = [option for option in options if option.key == key]
    if same:
        first = same[0].lines[0]
        gone = {number for option in same for number in option.lines} - {first}
        return "".join(written if number == first else line for number, line in enumerate(lines) if number not in gone)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    if header is None:
        gap = [end] if lines else []
        return "".join([*lines, *gap, f"[{SECTION}]{end}", written])
    place = max([header, *(option.lines[-1] for option in options)]) + 1
    return "".join([*lines[:place], written, *lines[place:]])


def _section(lines: Sequence[str]) -> tuple[int | None, list[_Option]]:
    """The line of ``[global]``'s header and its options, by the rules of configparser's RawConfigParser."""
    header: int | None = None
    options: list[_Option] = []
    inside, indent, key = False, 0, ""
    for number, line in enumerate(lines):
        bare = line.strip().removeprefix("\ufeff")
        if not bare or bare.startswith(("#", ";")):
            continue
        depth = len(line) - len(line.lstrip())
        if key and depth > indent:
            if inside:
                options[-1] = _Option(options[-1].key, (*options[-1].lines, number))
            continue
        indent = depth
        if match := _HEADER.match(bare):
            inside, key = match["name"] == SECTION, ""
            header = number if inside and header is None else header
        elif option := _OPTION.match(bare):
            key = _normal(option["key"])
            if inside:
                options.append(_Option(key, (number,)))
    return header, options


def _normal(key: str) -> str:
    return key.lower().replace("_", "-").removeprefix("--")


def _require_readable(text: str) -> None:
    try:
        configparser.RawConfigParser().read_string(text.removeprefix("\ufeff"))
    except configparser.Error as error:  # its text quotes the file, which may hold a password
        raise ConfigError(
            f"pip itself cannot read it ({type(error).__name__}); it is left as it is",
            hint="repair or remove the file, then run the same command again",
        ) from None
