"""A user's [[mirror]] tables: checked, merged over the shipped rows, and put in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap import config
from paddle_bootstrap.errors import ConfigError, UsageError
from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.rows import rows


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mirrors(tmp_path: Path, *wanted: str, text: str) -> list[str]:
    tables = config.mirror_tables([write(tmp_path / "paddle-bootstrap.toml", text)])
    found = configured(wanted, {"HOME": str(tmp_path)}, cwd=tmp_path, etc=tmp_path / "etc", tables=tables)
    return [mirror.name for mirror in found]


CORP = '[[mirror]]\nname = "Corp"\nurl = "https://corp/simple"\n'


def test_a_new_mirror_comes_before_the_shipped_ones(tmp_path: Path) -> None:
    assert mirrors(tmp_path, text=CORP)[:2] == ["corp", "official"]
    assert mirrors(tmp_path, "CORP", text=CORP) == ["corp"]


def test_priority_decides(tmp_path: Path) -> None:
    assert mirrors(tmp_path, text=CORP + "priority = 1\n")[-1] == "corp"
    assert mirrors(tmp_path, text='[[mirror]]\nname = "tuna"\npriority = -1\n')[0] == "tuna"


def test_a_shipped_mirror_is_changed(tmp_path: Path) -> None:
    tables = config.mirror_tables(
        [write(tmp_path / "a.toml", '[[mirror]]\nname = "tuna"\nconnections = 2\nca = "ca.pem"\n')]
    )
    tuna = {mirror.name: mirror for mirror in rows(tables)}["tuna"]
    assert (tuna.connections, tuna.certificate) == (2, str(tmp_path / "ca.pem"))
    assert tuna.url.startswith("https://pypi.tuna")
    assert "chsrc" in tuna.source


def test_a_shipped_name_that_leads_elsewhere_does_not_claim_the_shipped_source(tmp_path: Path) -> None:
    """A project's file may come from anybody: what `mirror use tuna` says must show that."""
    tables = config.mirror_tables(
        [write(tmp_path / "a.toml", '[[mirror]]\nname = "tuna"\nurl = "https://evil/simple"\n')]
    )
    tuna = {mirror.name: mirror for mirror in rows(tables)}["tuna"]
    assert tuna.source == tuna.note == "[[mirror]] in paddle-bootstrap.toml"


def test_its_own_certificate_outranks_pips(tmp_path: Path) -> None:
    write(tmp_path / "etc/pip.conf", "[global]\ncert = /pip.pem\n")
    tables = config.mirror_tables([write(tmp_path / "a.toml", CORP + 'ca = "/corp.pem"\n')])
    found = configured((), {"HOME": str(tmp_path)}, cwd=tmp_path, etc=tmp_path / "etc", tables=tables)
    assert [mirror.certificate for mirror in found[:2]] == ["/corp.pem", "/pip.pem"]


def test_stronger_files_win_key_by_key(tmp_path: Path) -> None:
    strong = write(tmp_path / "strong.toml", '[[mirror]]\nname = "corp"\nconnections = 3\n')
    weak = write(tmp_path / "weak.toml", CORP + "connections = 9\n")
    [table] = config.mirror_tables([strong, weak])
    assert table == {"name": "corp", "url": "https://corp/simple", "connections": 3}


def test_a_choice_and_a_table_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'mirror = ["corp", { name = "corp", url = "https://corp/simple" }]\n')
    assert config.load([path]) == {"mirror": ["corp"]}
    assert [table["name"] for table in config.mirror_tables([path])] == ["corp"]


def test_tables_choose_nothing(tmp_path: Path) -> None:
    strong, weak = write(tmp_path / "a.toml", CORP), write(tmp_path / "b.toml", 'mirror = "tuna"\n')
    assert config.load([strong]) == {}
    assert config.load([strong, weak]) == {"mirror": ["tuna"]}


def test_interpreters_are_no_wheels(tmp_path: Path) -> None:
    text = '[[mirror]]\nname = "py"\nurl = "https://py/"\nholds = "python"\n'
    assert "py" not in mirrors(tmp_path, text=text)
    with pytest.raises(UsageError, match="interpreters"):
        mirrors(tmp_path, "py", text=text)


@pytest.mark.parametrize(
    ("line", "words", "hint"),
    [
        ("conections = 3", "unknown key 'conections'", "did you mean 'connections'?"),
        ("connections = 0", "between 1 and 64", ""),
        ("connections = true", "a whole number", ""),
        ('priority = "first"', "a whole number", ""),
        ('kind = "docker"', "simple, find-links, files", ""),
        ('holds = "conda"', "pypi, paddle, python", ""),
        ("ca = 3", "a string", ""),
    ],
)
def test_a_bad_table(tmp_path: Path, line: str, words: str, hint: str) -> None:
    path = write(tmp_path / "a.toml", CORP + line + "\n")
    with pytest.raises(ConfigError) as caught:
        config.mirror_tables([path])
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[mirror]]\nurl = "https://h/"\n', "has no name"),
        ('[[mirror]]\nname = "new"\n', "has no url"),
        ('[[mirror]]\nname = "new"\nurl = "https://me:secret@h:port/"\n', "not a web address"),
    ],
)
def test_a_table_that_leads_nowhere(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mirrors(tmp_path, text=text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value) + caught.value.hint
