"""What pip's and uv's own settings say of mirrors."""

from __future__ import annotations

import pytest

from tests.unit.mirrors.settings import Host


def test_pip_settings(host: Host) -> None:
    host.write(
        "etc/pip.conf",
        "[global]\nindex-url = https://corp/simple\nextra-index-url =\n  file:///srv/one/simple\n  https://two/simple\n"
        "find-links = /srv/wheels\n  https://three/links.html\n",
    )
    assert host.own() == [
        "https://corp/simple",
        "file:///srv/one/simple",
        "https://two/simple",
        "file:///srv/wheels",
        "https://three/links.html",
    ]
    kinds = [mirror.kind for mirror in host.mirrors()[:5]]
    assert kinds == ["simple", "simple", "simple", "find-links", "find-links"]
    assert host.mirrors()[0].note == f"index-url in {host.folder / 'etc/pip.conf'}"


def test_pip_precedence(host: Host) -> None:
    """Weakest first; each stronger place replaces the one before."""

    def index() -> str:
        return host.own()[0]

    def settings(name: str) -> str:
        return f"[global]\nindex_url = https://{name}/simple\n"

    host.write("etc/xdg/pip/pip.conf", settings("xdg"))
    assert index() == "https://xdg/simple"
    host.write("etc/pip.conf", settings("etc"))
    assert index() == "https://etc/simple"
    host.write("home/.pip/pip.conf", settings("legacy"))
    assert index() == "https://legacy/simple"
    host.write("home/.config/pip/pip.conf", settings("user"))
    assert index() == "https://user/simple"
    host.write("venv/pip.conf", settings("venv"))
    host.environ["VIRTUAL_ENV"] = str(host.folder / "venv")
    assert index() == "https://venv/simple"
    host.environ["PIP_CONFIG_FILE"] = str(host.write("own.conf", "[global]\nproxy = p:1\n"))
    assert index() == "https://venv/simple"
    host.write("own.conf", settings("own"))
    assert index() == "https://own/simple"
    host.write("own.conf", settings("own") + "[install]\nindex-url = https://install/simple\n")
    assert index() == "https://install/simple"
    host.environ["PIP_INDEX_URL"] = "https://variable/simple"
    assert index() == "https://variable/simple"
    host.environ["PIP_CONFIG_FILE"] = "/dev/null"
    assert host.own() == ["https://variable/simple"]


def test_pip_config_file_hides_the_users_files_only(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nfind-links = /etc-wheels\n")
    host.write("home/.config/pip/pip.conf", "[global]\nindex-url = https://user/simple\n")
    host.environ["PIP_CONFIG_FILE"] = str(host.write("own.conf", ""))
    assert host.own() == ["file:///etc-wheels"]
    host.environ["PIP_CONFIG_FILE"] = str(host.folder / "missing.conf")
    assert host.own() == ["https://user/simple", "file:///etc-wheels"]


def test_an_empty_value_counts_for_nothing(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://corp/simple\n")
    host.environ["PIP_INDEX_URL"] = ""
    assert host.own() == ["https://corp/simple"]


def test_a_percent_sign_and_a_password(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://me:s%40cret@corp/simple\n")
    [mirror, *_] = host.mirrors()
    assert mirror.url == "https://corp/simple"
    assert mirror.login is not None
    assert "s%40cret" not in repr(host.mirrors())


def test_an_address_without_its_scheme_shows_no_password(host: Host) -> None:
    """pip takes it for a path."""
    host.write("etc/pip.conf", "[global]\nindex-url = bob:s3cret@corp/simple\n")
    assert "s3cret" not in host.own()[0]


def test_certificate_and_proxy_count_for_all(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\ncert = /corp/ca.pem\nproxy = http://me:secret@proxy:3128\n")
    for mirror in [*host.mirrors(), *host.mirrors("tuna")]:
        assert (mirror.certificate, mirror.proxy) == ("/corp/ca.pem", "http://proxy:3128")
        assert mirror.proxy_login is not None
    assert "secret" not in repr(host.mirrors())


def test_a_bad_proxy_is_told_without_its_password(host: Host) -> None:
    host.environ.update(PIP_PROXY="http://me:secret@proxy:port", PIP_CERT="/ca")
    assert host.mirrors("tuna")[0].certificate == "/ca"
    assert "pip's proxy" in host.warned.text
    assert "secret" not in host.warned.text


@pytest.mark.parametrize("variable", ["PIP_TRUSTED_HOST", "UV_INSECURE_HOST"])
def test_certificates_are_always_checked(host: Host, variable: str) -> None:
    host.environ[variable] = "corp"
    host.mirrors()
    assert f"in {variable} is ignored" in host.warned.text


@pytest.mark.parametrize("variable", ["PIP_NO_INDEX", "UV_NO_INDEX"])
def test_no_index(host: Host, variable: str) -> None:
    host.environ.update({variable: "1", "PIP_FIND_LINKS": "/srv/a", "UV_FIND_LINKS": "/srv/b,/srv/c"})
    assert [mirror.url for mirror in host.mirrors()] == ["file:///srv/a", "file:///srv/b", "file:///srv/c"]
    assert [mirror.name for mirror in host.mirrors("tuna")] == ["tuna"]
    assert "--mirror" in host.warned.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe[\x00g\x00", "not UTF-8"),
        (b"index-url = https://me:secret@corp/simple\n", "not a settings file"),
        (b"[global\nindex-url = https://me:secret@corp/simple\n", "not a settings file"),
    ],
)
def test_a_broken_pip_file(host: Host, content: bytes, words: str) -> None:
    host.write("etc/pip.conf", content)
    host.write("home/.config/pip/pip.conf", "[global]\nindex-url = https://user/simple\n")
    assert host.own() == ["https://user/simple"]
    assert words in host.warned.text
    assert "secret" not in host.warned.text


def test_a_comment_in_another_encoding_does_no_harm(host: Host) -> None:
    text = "[global]\n# 公司镜像\nindex-url = https://corp/simple\n"
    for encoding, warned in (("utf-8-sig", False), ("gb18030", True)):
        host.write("etc/pip.conf", text.encode(encoding))
        host.warned.lines.clear()
        assert host.own() == ["https://corp/simple"]
        assert ("not UTF-8" in host.warned.text) is warned


def test_uv_files_from_weak_to_strong(host: Host) -> None:
    host.write("etc/uv/uv.toml", 'extra-index-url = ["https://etc/simple"]\nindex-url = "https://weak/simple"\n')
    host.write("home/.config/uv/uv.toml", '[pip]\nextra-index-url = ["https://user/simple"]\n')
    host.write(
        "home/pyproject.toml", '[[tool.uv.index]]\nname = "corp"\nurl = "https://project/simple"\ndefault = true\n'
    )
    host.write("home/project/pyproject.toml", '[project]\nname = "x"\n')
    assert host.own() == ["https://user/simple", "https://etc/simple", "https://project/simple"]
    assert [mirror.name for mirror in host.mirrors()][2] == "corp"
    host.write("home/project/uv.toml", 'find-links = ["wheels"]\n')
    assert host.own() == [
        "https://user/simple",
        "https://etc/simple",
        (host.cwd / "wheels").as_uri(),
        "https://weak/simple",
    ]


def test_uv_indexes(host: Host) -> None:
    host.write(
        "home/.config/uv/uv.toml",
        '[[index]]\nname = "corp-one"\nurl = "https://one/simple"\n'
        '[[index]]\nname = "torch"\nurl = "https://torch/simple"\nexplicit = true\n'
        '[[index]]\nname = "flat"\nurl = "https://flat/links"\nformat = "flat"\n',
    )
    host.environ.update(UV_INDEX_CORP_ONE_USERNAME="me", UV_INDEX_CORP_ONE_PASSWORD="secret")
    assert host.own() == ["https://one/simple", "https://flat/links"]
    one, flat = host.mirrors()[:2]
    assert (one.name, flat.kind) == ("corp-one", "find-links")
    assert one.login is not None
    assert flat.login is None
    assert "secret" not in repr(one)


def test_uv_variables(host: Host) -> None:
    host.write("home/.config/uv/uv.toml", 'index-url = "https://file/simple"\n')
    host.environ.update(
        UV_INDEX="corp=https://named/simple https://plain/simple?a=b",
        UV_EXTRA_INDEX_URL="https://extra/simple",
        UV_DEFAULT_INDEX="https://default/simple",
    )
    assert host.own() == [
        "https://named/simple",
        "https://plain/simple?a=b",
        "https://extra/simple",
        "https://default/simple",
    ]
    assert host.mirrors()[0].name == "corp"


def test_uv_config_file_replaces_all_and_no_config_hides_all(host: Host) -> None:
    host.write("home/.config/uv/uv.toml", 'index-url = "https://user/simple"\n')
    host.environ["UV_CONFIG_FILE"] = str(host.write("own.toml", 'index-url = "https://own/simple"\n'))
    assert host.own() == ["https://own/simple"]
    host.environ["UV_NO_CONFIG"] = "1"
    assert host.own() == []


@pytest.mark.parametrize(
    "content", [b"index-url = https://me:secret@corp", b"\xff", b'index = "x"\nindex-url = 5\npip = 3\n']
)
def test_a_broken_uv_file(host: Host, content: bytes) -> None:
    host.write("home/project/uv.toml", content)
    host.write("etc/uv/uv.toml", 'index-url = "https://etc/simple"\n')
    assert host.own() == ["https://etc/simple"]
    assert "secret" not in host.warned.text


def test_what_pip_itself_refuses_is_told_once_and_read(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://corp/simple\n[global]\ntimeout = 4\n")
    assert host.own() == ["https://corp/simple"]
    assert [line.partition("pip.conf: ")[2] for line in host.warned.lines] == [
        "pip itself refuses it: a section or an option stands there twice"
    ]
