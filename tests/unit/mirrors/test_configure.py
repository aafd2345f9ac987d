"""Where a mirror may be set, what is refused and why, and what the variables and arguments say."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.errors import ConfigError, MirrorNotUsed, UsageError
from paddle_bootstrap.mirrors import in_force
from paddle_bootstrap.mirrors.configure import Scope, Setting, Tool, advice, planned, setting, use
from paddle_bootstrap.mirrors.index import pip_arguments, variables
from paddle_bootstrap.mirrors.model import Mirror, mirror_at

CORP = mirror_at("https://corp/simple", name="corp")
PYTHON = mirror_at("https://py/builds/", name="py", holds="python")


class Host:
    """A host's settings, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder / "home"), "PATH": "/none"}
        self.cwd = folder / "home" / "project"
        self.cwd.mkdir(parents=True)

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def setting(
        self, mirror: Mirror = CORP, *tools: Tool, scope: Scope = "user", packages: tuple[str, ...] = ()
    ) -> Setting:
        return setting(
            mirror,
            tools=tools,
            scope=scope,
            environ=self.environ,
            cwd=self.cwd,
            etc=self.folder / "etc",
            packages=packages,
        )

    def files(self, wanted: Setting) -> dict[str, str]:
        return {str(change.path.relative_to(self.folder)): change.after.decode() for change in planned(wanted)}

    def status(self) -> str:
        return "\n".join(in_force.describe(self.environ, self.cwd, self.folder / "etc"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_files_of_each_scope(host: Host) -> None:
    assert set(host.files(host.setting())) == {"home/.config/pip/pip.conf", "home/.config/uv/uv.toml"}
    assert set(host.files(host.setting(scope="system"))) == {"etc/pip.conf", "etc/uv/uv.toml"}
    host.environ["VIRTUAL_ENV"] = str(host.folder / "venv")
    with pytest.raises(UsageError, match="the active environment is not there"):
        host.setting(scope="site")
    (host.folder / "venv").mkdir()
    assert set(host.files(host.setting(scope="site"))) == {"venv/pip.conf"}
    host.environ["XDG_CONFIG_HOME"] = str(host.folder / "xdg")
    assert set(host.files(host.setting(CORP, "pip"))) == {"xdg/pip/pip.conf"}


def test_the_system_file_that_uv_reads_is_the_one_to_change(host: Host) -> None:
    host.write("etc/xdg/uv/uv.toml", "# first\n")
    assert set(host.files(host.setting(CORP, "uv", scope="system"))) == {"etc/xdg/uv/uv.toml"}


def test_a_linked_file_stays_a_link(host: Host) -> None:
    real = host.write("dotfiles/pip.conf", "# mine\n")
    link = host.folder / "home/.config/pip/pip.conf"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    use(host.setting(CORP, "pip"), check=False)
    assert link.is_symlink()
    assert real.read_text().startswith("# mine\n\n[global]\n")


def test_a_comment_in_another_encoding_survives(host: Host) -> None:
    path = host.folder / "home/.config/pip/pip.conf"
    path.parent.mkdir(parents=True)
    path.write_bytes("# 镜像\n".encode("gb18030"))
    use(host.setting(CORP, "pip"), check=False)
    assert path.read_bytes().startswith("# 镜像\n".encode("gb18030"))


@pytest.mark.parametrize(
    ("mirror", "tools", "scope", "words", "hint"),
    [
        (
            mirror_at("https://p/{build}/", name="paddle", holds="paddle"),
            (),
            "user",
            "Paddle's wheels alone",
            "--mirror paddle",
        ),
        (mirror_at("https://p/l.html", name="l", kind="find-links"), (), "user", "no index", "up --mirror"),
        (PYTHON, ("pip",), "user", "pip installs no interpreters", "--for"),
        (CORP, (), "site", "no environment is active", "--scope user"),
        (CORP, ("uv",), "site", "uv has no settings per environment", "--for pip"),
        (mirror_at("https://me:secret@h/s"), (), "system", "no place in a file that others read", ".netrc"),
        (mirror_at("http://me:secret@h/s"), (), "user", "can be read by everybody", "https"),
    ],
)
def test_refusals(host: Host, mirror: Mirror, tools: tuple[Tool, ...], scope: Scope, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        host.setting(mirror, *tools, scope=scope)
    assert words in str(caught.value)
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.hint


def test_own_packages_are_for_uv_and_a_project(host: Host) -> None:
    with pytest.raises(UsageError, match="pip cannot bind"):
        host.setting(CORP, "pip", packages=("own",))
    with pytest.raises(UsageError, match="no scope has a part in it"):
        host.setting(scope="system", packages=("own",))
    with pytest.raises(UsageError, match="no project here"):
        planned(host.setting(packages=("own",)))
    with pytest.raises(UsageError, match="no place in a file that others read"):
        host.setting(mirror_at("https://me:secret@h/s"), packages=("own",))
    host.write("home/project/pyproject.toml", "[project]\n")
    paddle = mirror_at("https://p/stable/cu126/", name="paddle", holds="paddle")
    [text] = host.files(host.setting(paddle, packages=("paddlepaddle-gpu",))).values()
    assert 'paddlepaddle-gpu = {index = "paddle"}' in text
    with pytest.raises(UsageError, match="a folder per build"):
        host.setting(mirror_at("https://p/{build}/", holds="paddle"), packages=("paddlepaddle-gpu",))


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "six==1", "six;x", "é"])
def test_what_no_package_is_called(host: Host, name: str) -> None:
    with pytest.raises(UsageError, match="no package has such a name"):
        host.setting(packages=("six", name))


def test_links_in_a_circle_are_named(host: Host) -> None:
    link = host.folder / "home/.config/uv/uv.toml"
    link.parent.mkdir(parents=True)
    link.symlink_to(link)
    with pytest.raises(ConfigError, match=r"uv\.toml cannot be read: Too many levels"):
        planned(host.setting(CORP, "uv"))


def test_a_second_index_is_explained(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nextra-index-url = https://a:secret@b/simple\n")
    [told] = advice(host.setting())
    assert "extra-index-url in" in told
    assert "can supply any package" in told
    assert "secret" not in told
    assert advice(host.setting(CORP, "uv")) == ()


def test_plain_http_is_named_as_what_it_is(host: Host) -> None:
    host.write("home/.config/pip/pip.conf", "[global]\ntrusted-host = one\n")
    plain = mirror_at("http://corp:8080/simple")
    [text] = host.files(host.setting(plain, "pip")).values()
    assert text == "[global]\ntrusted-host = one\n    corp:8080\nindex-url = http://corp:8080/simple\n"
    assert "prefer its https address" in advice(host.setting(plain))[0]
    local = mirror_at("http://127.0.0.1:9/simple")
    assert (
        "trusted-host" not in host.files(host.setting(local, "pip"))["home/.config/pip/pip.conf"].split("index-url")[1]
    )


def test_a_certificate_of_its_own(host: Host) -> None:
    own = mirror_at("https://corp/simple", certificate="/ca.pem")
    files = host.files(host.setting(own))
    assert "cert = /ca.pem" in files["home/.config/pip/pip.conf"]
    assert advice(host.setting(own)) == ("uv takes certificates from a variable alone: export SSL_CERT_FILE=/ca.pem",)


def test_credentials_stand_in_the_tools_files_alone_and_those_are_private(host: Host) -> None:
    pip = host.write("home/.config/pip/pip.conf", "[global]\ntimeout = 5\n")
    pip.chmod(0o644)
    use(host.setting(mirror_at("https://me:s%40cret@corp/simple")), check=False)
    assert "https://me:s%40cret@corp/simple" in pip.read_text()
    found = [path for path in host.folder.rglob("*") if path.is_file() and b"cret@corp" in path.read_bytes()]
    assert sorted(path.name for path in found) == ["pip.conf", "uv.toml"]
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}


def test_a_file_that_the_tool_cannot_read_is_named(host: Host) -> None:
    path = host.write("home/.config/uv/uv.toml", "index-url = \n")
    with pytest.raises(ConfigError, match=r"uv\.toml: it is not TOML"):
        planned(host.setting(CORP, "uv"))
    assert path.read_text() == "index-url = \n"


@pytest.mark.parametrize(
    ("file", "text", "variables", "tool", "words"),
    [
        ("", "", {"PIP_INDEX_URL": "https://other/simple"}, "pip", "index-url in PIP_INDEX_URL wins"),
        ("", "", {"PIP_CONFIG_FILE": "/dev/null"}, "pip", "PIP_CONFIG_FILE is set, so it reads no file"),
        ("", "", {"PIP_NO_INDEX": "1"}, "pip", "PIP_NO_INDEX is set"),
        ("home/.config/pip/pip.conf", "[install]\nindex-url=https://o/\n", {}, "pip", "[install] of"),
        ("venv/pip.conf", "[global]\nindex-url=https://o/\n", {}, "pip", "venv/pip.conf wins"),
        ("", "", {"UV_DEFAULT_INDEX": "https://other/simple"}, "uv", "UV_DEFAULT_INDEX wins"),
        ("home/project/uv.toml", '[[index]]\nurl="https://o/"\ndefault=true\n', {}, "uv", "project/uv.toml wins"),
        ("", "", {"UV_NO_CONFIG": "1"}, "uv", "UV_NO_CONFIG is set, so it reads no file"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_taken_back(
    host: Host, file: str, text: str, variables: dict[str, str], tool: Tool, words: str
) -> None:
    if file:
        host.write(file, text)
    host.environ |= {"VIRTUAL_ENV": str(host.folder / "venv"), **variables}
    before = {path: path.read_bytes() for path in host.folder.rglob("*") if path.is_file()}
    with pytest.raises(MirrorNotUsed) as caught:
        use(host.setting(CORP, tool), check=True)
    assert words in str(caught.value)
    assert caught.value.exit_code == 12
    assert caught.value.hint.startswith(f"unset {' '.join(variables)}" if variables else "remove that")
    after = {path: path.read_bytes() for path in host.folder.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


def test_variables_and_arguments() -> None:
    assert variables(CORP) == {"PIP_INDEX_URL": "https://corp/simple", "UV_DEFAULT_INDEX": "https://corp/simple"}
    assert variables(PYTHON) == {"UV_PYTHON_INSTALL_MIRROR": "https://py/builds/"}
    assert pip_arguments(CORP) == ["--index-url", "https://corp/simple"]
    plain = mirror_at("http://me:secret@corp:81/simple", certificate="/ca.pem")
    assert variables(plain)["PIP_TRUSTED_HOST"] == "corp:81"
    assert variables(plain)["SSL_CERT_FILE"] == "/ca.pem"
    assert pip_arguments(plain)[2:] == ["--trusted-host", "corp:81", "--cert", "/ca.pem"]
    assert "secret" not in str([variables(plain), pip_arguments(plain)])
    with pytest.raises(UsageError):
        pip_arguments(PYTHON)


def test_status_of_a_bare_host(host: Host) -> None:
    told = host.status()
    assert "pip: pip's built-in index, no setting names another" in told
    assert "uv: uv's built-in index, no setting names another" in told
    assert told.count("(not there)") == 6


def test_status_names_every_level_of_pip_and_the_winner(host: Host) -> None:
    def line(name: str) -> str:
        return f"[global]\nindex-url = https://me:secret@{name}/simple\n"

    host.write("etc/pip.conf", line("system"))
    host.write("home/.config/pip/pip.conf", line("user"))
    host.environ["VIRTUAL_ENV"] = str(host.folder / "venv")
    host.write("venv/pip.conf", line("site"))
    assert "pip: https://***@site/simple" in host.status()
    host.environ["PIP_CONFIG_FILE"] = str(host.write("own.conf", line("own")))
    assert "pip: https://***@own/simple" in host.status()
    assert "@user" not in host.status()
    host.environ["PIP_INDEX_URL"] = "https://me:secret@variable/simple"
    told = host.status()
    assert "pip: https://***@variable/simple  (index-url in PIP_INDEX_URL wins)" in told
    pip = told.partition("\nuv:")[0]
    places = [pip.index(f"{level:15}") for level in ("system", "site", "PIP_CONFIG_FILE", "environment")]
    assert places == sorted(places)
    assert "secret" not in told


def test_status_of_uv_does_not_know_pip(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://pip/simple\n")
    host.write("etc/uv/uv.toml", '[[index]]\nurl = "https://system/simple"\ndefault = true\n')
    host.write(
        "home/project/uv.toml", 'python-install-mirror = "https://py/"\n[[index]]\nurl = "https://more/simple"\n'
    )
    uv = host.status().partition("\nuv:")[2]
    assert uv.startswith(" https://system/simple")
    assert "also https://more/simple" in uv
    assert "interpreters from https://py/" in uv
    assert "https://pip" not in uv
    assert "index = https://system/simple (default)" in uv
    host.environ["UV_NO_INDEX"] = "1"
    assert "uv: no index (no-index is set)" in host.status()


URL = 'index-url = "https://{}/simple"\n'
INDEX = '[[index]]\nurl = "https://{}/simple"\ndefault = true\n'


@pytest.mark.parametrize(
    ("user", "project", "variables", "wins"),
    [
        (INDEX.format("user"), URL.format("project"), {}, "user"),
        (URL.format("user"), INDEX.format("project"), {}, "project"),
        (URL.format("user"), URL.format("project"), {}, "project"),
        ("[pip]\n" + URL.format("user"), URL.format("project"), {}, "user"),
        (INDEX.format("top") + "[pip]\n" + URL.format("pip"), "", {}, "top"),
        (URL.format("top") + "[pip]\n" + URL.format("pip"), "", {}, "pip"),
        (INDEX.format("first") + INDEX.format("second"), "", {}, "first"),
        (INDEX.format("user"), "", {"UV_INDEX_URL": "https://old/simple"}, "old"),
        ("", "", {"UV_INDEX_URL": "https://old/simple", "UV_DEFAULT_INDEX": "https://new/simple"}, "new"),
    ],
)
def test_which_of_two_wins_in_uv(host: Host, user: str, project: str, variables: dict[str, str], wins: str) -> None:
    """Each as uv 0.13.9 itself did with two loopback indexes."""
    host.write("home/.config/uv/uv.toml", user)
    host.write("home/project/uv.toml", project)
    host.environ |= variables
    assert f"\nuv: https://{wins}/simple  (" in host.status()


def test_status_tells_uv_pip_and_uv_sync_apart(host: Host) -> None:
    host.write("home/.config/uv/uv.toml", URL.format("top") + "[pip]\n" + URL.format("pip"))
    told = host.status()
    assert "index-url in [pip] = https://pip/simple" in told
    assert "uv sync and uv add read no [pip]: https://top/simple" in told
    host.write("home/.config/uv/uv.toml", URL.format("top"))
    assert "uv sync" not in host.status()


def test_what_uv_asks_before_the_mirror_is_told(host: Host) -> None:
    host.environ["UV_INDEX"] = "https://me:secret@first/simple"
    host.write("home/.config/uv/uv.toml", '[[index]]\nurl = "https://second/simple"\n')
    told = advice(host.setting(CORP, "uv"))
    assert [line.partition(" stays: uv asks it first, and corp only")[0] for line in told] == [
        "UV_INDEX",
        f"index in {host.folder}/home/.config/uv/uv.toml",
    ]
    assert "secret" not in str(told)


def test_status_shows_every_section(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://a/simple\n[download]\nindex-url = https://b/simple\n")
    told = host.status()
    assert "pip: https://a/simple" in told
    assert "index-url in [download] = https://b/simple" in told
