"""uv's settings and a project's are changed in place; comments and everything else stay."""

from __future__ import annotations

import pytest

from paddle_bootstrap import toml
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors.uv_toml import with_default_index, with_explicit_index, with_python_mirror

NEW = "https://new/simple"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f'[[index]]\nurl = "{NEW}"\ndefault = true\n'),
        (
            "# mine\nlink-mode = 'copy' # yes\n",
            f"# mine\nlink-mode = 'copy' # yes\n[[index]]\nurl = \"{NEW}\"\ndefault = true\n",
        ),
        ("index-url = 'https://old'  # corp\n", f'index-url = "{NEW}"  # corp\n'),
        (
            '[[index]]\nname = "own"\nurl = "x"\n\n[[index]]\nname = "old"\nurl = "y"\ndefault = true # last\n',
            f'[[index]]\nname = "own"\nurl = "x"\n\n[[index]]\nurl = "{NEW}"\ndefault = true # last\n',
        ),
        ("index = [{ url = 'https://old', default = true }]\n", f'index = [{{ url = "{NEW}", default = true }}]\n'),
        ("\ufeff# bom\r\nindex-url = 'a'\r\n", f'\ufeff# bom\r\nindex-url = "{NEW}"\r\n'),
    ],
)
def test_the_default_index(before: str, after: str) -> None:
    assert with_default_index(before, NEW) == after


def test_the_pip_table_that_outranks_it_is_set_too() -> None:
    read = toml.loads(with_default_index("[pip]\nindex-url = 'https://old'\ncompile-bytecode = true\n", NEW))
    assert read["pip"] == {"index-url": NEW, "compile-bytecode": True}
    assert read["index"] == [{"url": NEW, "default": True}]


def test_other_indexes_stay_as_they_are() -> None:
    text = with_default_index("index = [{ url = 'https://own', explicit = true, name = 'own' }]\n", NEW)
    assert [index["url"] for index in toml.loads(text)["index"]] == ["https://own", NEW]


def test_the_interpreters() -> None:
    assert with_python_mirror("# a\npython-install-mirror = 'x' # b\n", "https://m/") == (
        '# a\npython-install-mirror = "https://m/" # b\n'
    )


def test_own_packages_of_a_project() -> None:
    before = '[project]\nname = "x" # me\n\n[tool.uv]\npackage = false\n\n'
    before += '[tool.uv.sources]\nother = { path = "o" }\n\n[tool.z]\na = 1\n'
    after = with_explicit_index(before, "corp", NEW, ["one", "two"])
    read = toml.loads(after)
    assert read["tool"]["uv"]["index"] == [{"name": "corp", "url": NEW, "explicit": True}]
    assert read["tool"]["uv"]["sources"] == {"other": {"path": "o"}, "one": {"index": "corp"}, "two": {"index": "corp"}}
    assert set(before.splitlines()) <= set(after.splitlines())
    again = with_explicit_index(after, "corp", "https://newer", ["three"])
    assert toml.loads(again)["tool"]["uv"]["index"] == [{"name": "corp", "url": "https://newer", "explicit": True}]


@pytest.mark.parametrize("before", ['index-url = "https://me:secret@h', "a = 1\na = 'secret'\n"])
def test_a_file_that_is_no_toml_is_left_alone(before: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_default_index(before, NEW)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_project_whose_tool_is_no_table() -> None:
    with pytest.raises(ConfigError, match="tool is no table"):
        with_explicit_index("tool = 1\n", "corp", NEW, ["one"])


@pytest.mark.parametrize("before", ["index = 3\n", "index = 'x'\n", "[index]\nurl = 'x'\n"])
def test_an_index_that_is_no_list(before: str) -> None:
    with pytest.raises(ConfigError, match="index is no list"):
        with_default_index(before, NEW)
