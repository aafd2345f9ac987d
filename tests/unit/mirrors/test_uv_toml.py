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
    after = with_explicit_index(before, ["corp"], NEW, ["one", "two"], owned=True)
    read = toml.loads(after)
    assert read["tool"]["uv"]["index"] == [{"name": "corp", "url": NEW, "explicit": True}]
    assert read["tool"]["uv"]["sources"] == {"other": {"path": "o"}, "one": {"index": "corp"}, "two": {"index": "corp"}}
    assert set(before.splitlines()) <= set(after.splitlines())
    again = with_explicit_index(after, ["corp"], "https://newer", ["three"], owned=True)
    assert toml.loads(again)["tool"]["uv"]["index"] == [{"name": "corp", "url": "https://newer", "explicit": True}]


def test_every_address_is_an_index_of_its_own() -> None:
    text = ""
    for number, team in enumerate("abcda"):
        text = with_explicit_index(text, ["corp", "corp-x"], f"https://corp/{team}/", [f"own{number}"], owned=False)
    uv = toml.loads(text)["tool"]["uv"]
    assert [(index["name"], index["url"]) for index in uv["index"]] == [
        ("corp", "https://corp/a/"),
        ("corp-x", "https://corp/b/"),
        ("corp-x-2", "https://corp/c/"),
        ("corp-x-3", "https://corp/d/"),
    ]
    assert [uv["sources"][f"own{number}"]["index"] for number in range(5)] == [
        "corp",
        "corp-x",
        "corp-x-2",
        "corp-x-3",
        "corp",
    ]


def test_a_package_has_one_source_however_it_is_spelled() -> None:
    before = '[tool.uv.sources]\nOur_Own = { path = "o" } # keep\nx = { path = "x" }\nour-own = { path = "p" }\n'
    after = with_explicit_index(before, ["corp"], NEW, ["our-own", "our.own"], owned=True)
    assert toml.loads(after)["tool"]["uv"]["sources"] == {"x": {"path": "x"}, "Our_Own": {"index": "corp"}}
    assert "# keep" in after


@pytest.mark.parametrize("before", ["[tool]\nuv = { package = false }\n", "tool = { uv = { package = false } }\n"])
def test_tables_on_one_line(before: str) -> None:
    uv = toml.loads(with_explicit_index(before, ["corp"], NEW, ["one"], owned=True))["tool"]["uv"]
    assert uv == {
        "package": False,
        "index": [{"name": "corp", "url": NEW, "explicit": True}],
        "sources": {"one": {"index": "corp"}},
    }


@pytest.mark.parametrize("before", ['index-url = "https://me:secret@h', "a = 1\na = 'secret'\n"])
def test_a_file_that_is_no_toml_is_left_alone(before: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_default_index(before, NEW)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_project_whose_tool_is_no_table() -> None:
    with pytest.raises(ConfigError, match="tool is no table"):
        with_explicit_index("tool = 1\n", ["corp"], NEW, ["one"], owned=True)


@pytest.mark.parametrize("before", ["index = 3\n", "index = 'x'\n", "[index]\nurl = 'x'\n"])
def test_an_index_that_is_no_list(before: str) -> None:
    with pytest.raises(ConfigError, match="index is no list"):
        with_default_index(before, NEW)
