"""A user's [[mirror]] tables: checked, merged over the shipped rows, and put in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap import config
from paddle_bootstrap.errors import ConfigError, UsageError
from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.rows import rows
from tests.fakes.certificate import self_signed


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
    (tmp_path / "ca").mkdir()
    tables = config.mirror_tables(
        [write(tmp_path / "a.toml", '[[mirror]]\nname = "tuna"\nconnections = 2\nca = "ca"\n')]
    )
    tuna = {mirror.name: mirror for mirror in rows(tables)}["tuna"]
    assert (tuna.connections, tuna.certificate) == (2, str(tmp_path / "ca"))
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
    own = str(self_signed(tmp_path))
    tables = config.mirror_tables([write(tmp_path / "a.toml", CORP + 'ca = "both.pem"\n')])
    found = configured((), {"HOME": str(tmp_path)}, cwd=tmp_path, etc=tmp_path / "etc", tables=tables)
    assert [mirror.certificate for mirror in found[:2]] == [own, "/pip.pem"]


def test_what_a_table_says_counts_where_pip_names_the_address_too(tmp_path: Path) -> None:
    """As after `mirror use corp`."""
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://corp/simple/\n")
    own = str(self_signed(tmp_path))
    text = CORP + 'ca = "both.pem"\nauth = "netrc"\nconnections = 3\n'
    tables = config.mirror_tables([write(tmp_path / "a.toml", text)])
    corp = configured((), {"HOME": str(tmp_path)}, cwd=tmp_path, etc=tmp_path / "etc", tables=tables)[0]
    assert (corp.name, corp.certificate, corp.auth, corp.connections) == ("corp", own, "netrc", 3)
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://me:secret@corp/simple/\n")
    corp = configured((), {"HOME": str(tmp_path)}, cwd=tmp_path, etc=tmp_path / "etc", tables=tables)[0]
    assert (corp.name, corp.auth) == ("corp", "")


@pytest.mark.parametrize("name", ["nexus.corp.example", "nexus-2", "我们"])
def test_a_name_may_look_like_a_hosts(tmp_path: Path, name: str) -> None:
    assert mirrors(tmp_path, name, text=f'[[mirror]]\nname = "{name}"\nurl = "https://h/simple"\n') == [name]


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
        ('connections = "six"', "connections must be a whole number", ""),
        ("connections = 6.5", "connections must be a whole number", ""),
        ('auth = "me:secret"', "env:VARIABLE, netrc or keyring", "no password stands in this file"),
        ('auth = "env:"', "env:VARIABLE, netrc or keyring", "no password stands in this file"),
        ('ca = "none.pem"', "none.pem: No such file", "check the path"),
        ('ca = "a.toml"', "ca holds no certificates", "it must be a PEM file"),
        ('ca = "/dev/null"', "neither a file nor a folder", ""),
        ('ca = "a\\u0000b"', "ca holds no certificates", "it must be a PEM file"),
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
        ('[[mirror]]\nname = "a/b"\n', "cannot be chosen with --mirror"),
        ('[[mirror]]\nname = "https://me:secret@h/"\n', "cannot be chosen with --mirror"),
        ('[[mirror]]\nname = "new"\nurl = ""\n', "url is no address"),
        ('[[mirror]]\nname = "new"\nurl = "ftp://me:secret@h/s"\n', "url is of an unknown kind: ftp:"),
        ('[[mirror]]\nname = "new"\nurl = "me:secret@corp.example/simple"\n', "no address: 'corp.example/simple'"),
        ('[[mirror]]\nname = "new"\nurl = "/srv/wheels"\n', "no address: '/srv/wheels'"),
        ('[[mirror]]\nname = "new"\nurl = "https:///simple"\n', "not a web address"),
        ('[[mirror]]\nname = "tuna"\nurl = "corp/simple"\n', "url is no address"),
        (CORP + '[[mirror]]\nname = "CORP"\nurl = "https://other/"\n', "two [[mirror]] have the name 'corp'"),
        ('[[mirror]]\nname = "new"\nurl = "file:///srv"\nauth = "netrc"\n', "no effect on a folder"),
        ('[[mirror]]\nname = "new"\nurl = "https://me:secret@h/"\nauth = "netrc"\n', "its url holds a login"),
        ('[[mirror]]\nname = "new"\nurl = "https://secret@h/"\nauth = "env:TOKEN"\n', "its url holds a login"),
        ('[[mirror]]\nname = "new"\nurl = "https://me:secret@h:port/"\n', "not a web address"),
    ],
)
def test_a_table_that_leads_nowhere(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "a.toml", text)
    with pytest.raises(ConfigError) as caught:
        config.mirror_tables([path])
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_password_is_not_for_an_address_that_a_stronger_file_gives(tmp_path: Path) -> None:
    """A project's file may come from anybody; the host's names the company's password."""
    project = write(tmp_path / "project.toml", '[[mirror]]\nname = "corp"\nurl = "https://evil/simple"\n')
    host = write(tmp_path / "host.toml", CORP + 'auth = "env:CORP_LOGIN"\norigin = true\npriority = 2\n')
    [table] = config.mirror_tables([project, host])
    assert table == {"name": "corp", "url": "https://evil/simple", "priority": 2}
    write(project, '[[mirror]]\nname = "corp"\nconnections = 3\n')
    [table] = config.mirror_tables([project, host])
    assert (table["url"], table["auth"], table["origin"]) == ("https://corp/simple", "env:CORP_LOGIN", True)
