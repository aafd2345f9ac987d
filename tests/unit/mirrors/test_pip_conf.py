"""pip's settings file is changed line by line, and means the same as before but for the values that were set."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors.pip_conf import value_of, with_values

NEW = {"index-url": "https://new/simple"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[global]\nindex-url = https://new/simple\n"),
        ("# mine\n", "# mine\n\n[global]\nindex-url = https://new/simple\n"),
        ("[install]\nuser = yes", "[install]\nuser = yes\n\n[global]\nindex-url = https://new/simple\n"),
        (
            "[global]\n; why\nindex-url: https://old/simple\ntimeout = 9 \n# end\n[list]\nformat=columns\n",
            "[global]\n; why\nindex-url = https://new/simple\ntimeout = 9 \n# end\n[list]\nformat=columns\n",
        ),
        (
            "[global]\nINDEX_URL =\n    https://old/simple\n    # inside\n    https://more/simple\nproxy = p:1\n",
            "[global]\nindex-url = https://new/simple\n    # inside\nproxy = p:1\n",
        ),
        (
            "[global]\ntimeout = 9\n\n# about lists\n[list]\nindex-url = x\n",
            "[global]\ntimeout = 9\nindex-url = https://new/simple\n\n# about lists\n[list]\nindex-url = x\n",
        ),
        ("[global]\r\ntimeout=9\r\n", "[global]\r\ntimeout=9\r\nindex-url = https://new/simple\r\n"),
        ("\ufeff[global]\nindex-url=a\n", "\ufeff[global]\nindex-url = https://new/simple\n"),
        ("  [global]\n  index-url = a\n  proxy = b\n", "  [global]\n  index-url = https://new/simple\n  proxy = b\n"),
        ("[global]\n  proxy = b\n", "[global]\n  proxy = b\n  index-url = https://new/simple\n"),
        (
            "[global]\n\n  # more\n  [list]\n  format = columns\n",
            "[global]\n  index-url = https://new/simple\n\n  # more\n  [list]\n  format = columns\n",
        ),
    ],
)
def test_only_the_value_changes(before: str, after: str) -> None:
    assert with_values(before, NEW) == after


def test_a_list_is_written_as_pip_reads_it() -> None:
    text = with_values("[global]\ntrusted-host = one\n", {"trusted-host": "one\ntwo:80"})
    assert value_of(text, "trusted-host").split() == ["one", "two:80"]


def test_a_list_in_an_indented_file() -> None:
    text = with_values("[global]\n  trusted-host = one\n  proxy = b\n", {"trusted-host": "one\ntwo"})
    assert (value_of(text, "trusted-host").split(), value_of(text, "proxy")) == (["one", "two"], "b")


@pytest.mark.parametrize(
    "before", ["index-url = https://me:secret@corp/simple\n", "[global\nx = secret\n", "[g]\na=secret\na=2\n"]
)
def test_a_file_that_pip_cannot_read_is_left_alone(before: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_values(before, NEW)
    assert "secret" not in str(caught.value) + caught.value.hint
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError):
        value_of(before, "trusted-host")


KEY = st.sampled_from(["timeout", "index-url", "index_url", "proxy", "cert", "no-index", "Find-Links"])
INDENT = st.sampled_from(["", "", "  ", "\t", "      "])
OPTION = st.tuples(
    st.tuples(INDENT, KEY),
    st.sampled_from(["=", ":", " = "]),
    st.sampled_from(["a", "", "https://h/x#y;z", "a\n  b\n\n  c", "a\n # in\n b"]),
)
LINES = st.lists(st.sampled_from(["# comment", "; comment", ""]), max_size=2)
SECTION = st.tuples(
    st.tuples(INDENT, st.sampled_from(["global", "install", "list", ":all:"])),
    st.lists(st.tuples(LINES, OPTION), max_size=4),
)


Words = tuple[str, str]  # indent and name
Sections = list[tuple[Words, list[tuple[list[str], tuple[Words, str, str]]]]]


def written(sections: Sections) -> str:
    lines, seen = [], set()
    for (indent, name), options in sections:
        if name in seen:
            continue
        seen.add(name)
        lines.append(f"{indent}[{name}]")
        keys: set[str] = set()
        for comments, ((indent, key), delimiter, value) in options:
            if key.lower() not in keys:
                keys.add(key.lower())
                lines += [*comments, f"{indent}{key}{delimiter}{value}"]
    return "\n".join(lines)


def meaning(text: str) -> dict[tuple[str, str], str]:
    """What each option is; blank lines and comments inside a value do not count."""
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    found = {
        (section, key): " ".join(value.split()) for section in parser.sections() for key, value in parser.items(section)
    }
    return {
        place: value
        for place, value in found.items()
        if place not in {("global", "index-url"), ("global", "index_url")}
    }


@given(st.lists(SECTION, max_size=4))
def test_every_other_setting_and_comment_survives(
    sections: Sections,
) -> None:
    before = written(sections)
    try:
        meant = meaning(before)
    except configparser.Error:
        reject()
    after = with_values(before, NEW)
    assert meaning(after) == meant
    assert value_of(after, "index-url") == "https://new/simple"
    assert [line for line in after.splitlines() if line.lstrip().startswith(("#", ";"))] == [
        line for line in before.splitlines() if line.lstrip().startswith(("#", ";"))
    ]
    assert with_values(after, NEW) == after
