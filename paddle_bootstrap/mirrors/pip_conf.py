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
    """``[global]``'s value of ``key``, as written; empty when it has none. Raises ConfigError."""
    _require_readable(text)
    parser = configparser.RawConfigParser()
    parser.read_string(text.removeprefix("\ufeff"))
    section = parser[SECTION] if parser.has_section(SECTION) else {}
    return next((value for name, value in section.items() if _normal(name) == key), "")


def _with_value(text: str, key: str, value: str) -> str:
    lines = text.splitlines(keepends=True)
    end = "\r\n" if text.count("\r\n") > text.count("\n") / 2 else "\n"
    header, options = _section(lines)
    same = [option for option in options if option.key == key]
    place = max([-1 if header is None else header, *(option.lines[-1] for option in options)]) + 1
    indent = _indent(lines[same[0].lines[0]]) if same else _indent_at(lines, header, options, place)
    written = f"{indent}{key} = {value.replace(chr(10), f'{end}{indent}    ')}{end}"
    if same:
        first = same[0].lines[0]
        gone = {number for option in same for number in option.lines} - {first}
        return "".join(written if number == first else line for number, line in enumerate(lines) if number not in gone)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    if header is None:
        gap = [end] if lines else []
        return "".join([*lines, *gap, f"[{SECTION}]{end}", written])
    return "".join([*lines[:place], written, *lines[place:]])


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _indent_at(lines: Sequence[str], header: int | None, options: Sequence[_Option], place: int) -> str:
    """What an option in front of line ``place`` begins with: a line that is deeper than it would be part of its value."""
    if options:
        return _indent(lines[options[-1].lines[0]])
    after = (line for line in lines[place:] if not _is_comment(line))
    return "" if header is None else max(_indent(lines[header]), _indent(next(after, "")), key=len)


def _is_comment(line: str) -> bool:
    return line.strip() == "" or line.strip().startswith(("#", ";"))


def _section(lines: Sequence[str]) -> tuple[int | None, list[_Option]]:
    """The line of ``[global]``'s header and its options, by the rules of configparser's RawConfigParser."""
    header: int | None = None
    options: list[_Option] = []
    inside, indent, key = False, 0, ""
    for number, line in enumerate(lines):
        bare = line.strip().removeprefix("\ufeff")
        if _is_comment(bare):
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
