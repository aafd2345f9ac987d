"""Which mirrors are asked, in which order, from which settings."""

from __future__ import annotations

import pytest

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.mirrors.model import identity, mirror_at
from paddle_bootstrap.mirrors.rows import rows
from tests.unit.mirrors.settings import Host

ROWS = ["official", "paddle", "paddle-cdn", "paddle-bj", "tuna", "ustc", "aliyun", "bfsu", "tencent", "huawei"]


def test_the_official_index_is_what_uv_says() -> None:
    address = official.address()
    assert address is not None
    assert address.startswith("https://")
    assert address.endswith("/simple")


def test_no_shipped_row_needs_trust_or_lacks_a_source() -> None:
    assert [mirror.name for mirror in rows()] == [*ROWS, "nju-python", "python-build-standalone"]
    for mirror in rows():
        assert mirror.url.startswith("https://")
        assert mirror.connections == (6 if mirror.holds != "python" else 16)
        assert mirror.note
        assert mirror.source
        assert mirror.login is None


def test_the_paddle_rows_have_a_place_for_the_build() -> None:
    found = {mirror.name: mirror for mirror in rows()}
    assert [name for name, mirror in found.items() if mirror.folder_per_build] == ["paddle", "paddle-cdn", "paddle-bj"]
    fitted = found["paddle"].for_build("cu126")
    assert fitted is not None
    assert fitted.url.endswith("/packages/stable/cu126/")
    assert found["paddle"].for_build(None) is None
    assert found["tuna"].for_build(None) == found["tuna"]


def test_a_host_without_settings(host: Host) -> None:
    assert [mirror.name for mirror in host.mirrors()] == ROWS
    assert host.warned.lines == []


def test_named_mirrors_stand_alone_and_in_order(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://corp/simple\n")
    found = host.mirrors("USTC", "https://me:secret@here/simple", "tuna", "USTC")
    assert [mirror.name for mirror in found] == ["ustc", "here", "tuna"]
    assert found[1].url == "https://here/simple"
    assert found[1].login is not None


@pytest.mark.parametrize(
    ("wanted", "url", "kind"),
    [
        ("file:///srv/simple", "file:///srv/simple", "simple"),
        ("https://host/links.html", "https://host/links.html", "find-links"),
        ("https://host/{build}/", "https://host/{build}/", "simple"),
    ],
)
def test_addresses(host: Host, wanted: str, url: str, kind: str) -> None:
    [mirror] = host.mirrors(wanted)
    assert (mirror.url, mirror.kind) == (url, kind)


def test_a_path(host: Host) -> None:
    [mirror] = host.mirrors("./wheels")
    assert mirror.url == (host.cwd / "wheels").as_uri()


@pytest.mark.parametrize(
    "wanted", ["me:secret@corp", "me:secret@corp/simple", "corp.example", "10.0.0.1/simple", "corp:8080/s"]
)
def test_an_address_without_its_scheme(host: Host, wanted: str) -> None:
    with pytest.raises(UsageError, match="not a mirror's name, nor an address") as caught:
        host.mirrors(wanted)
    assert "https://" in caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("wanted", ["a/wheels", "../wheels.d/x", "./wheels.d", "/srv/x.y/z", ".", "found.d"])
def test_folders_are_no_addresses(host: Host, wanted: str) -> None:
    (host.cwd / "found.d").mkdir()
    if wanted == "found.d":
        with pytest.raises(UsageError, match="unknown mirror"):
            host.mirrors(wanted)
    else:
        assert host.mirrors(wanted)[0].url.startswith("file:")


def test_an_unknown_name(host: Host) -> None:
    with pytest.raises(UsageError, match="unknown mirror: 'tsuna'") as caught:
        host.mirrors("tsuna")
    assert caught.value.exit_code == 2
    assert caught.value.hint.startswith("did you mean tuna")
    assert all(name in caught.value.hint for name in ROWS)


@pytest.mark.parametrize(
    "wanted", ["https://", "ftp://host/simple", "https://me:secret@host:port/simple", "https://[::1/x"]
)
def test_a_bad_address(host: Host, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        host.mirrors(wanted)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_bad_address_in_the_settings_is_a_warning(host: Host) -> None:
    host.write("etc/pip.conf", "[global]\nindex-url = https://me:secret@host:port/simple\n")
    assert [mirror.name for mirror in host.mirrors()] == ROWS
    assert "pip.conf: not a web address" in host.warned.text
    assert "secret" not in host.warned.text


def test_the_official_index_is_not_listed_twice(host: Host) -> None:
    host.environ["PIP_INDEX_URL"] = f"{official.address()}/"
    assert [mirror.name for mirror in host.mirrors()] == ROWS
    assert host.mirrors()[0].note == "index-url in PIP_INDEX_URL"


def test_a_row_that_the_user_prefers_keeps_its_name_and_comes_first(host: Host) -> None:
    host.environ["PIP_INDEX_URL"] = "https://PYPI.tuna.tsinghua.edu.cn:443/simple/"
    assert [mirror.name for mirror in host.mirrors()] == ["tuna", *[name for name in ROWS if name != "tuna"]]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("https://H/simple", "https://h:443/simple/", True),
        ("https://h/simple", "http://h/simple", False),
        ("https://h/a", "https://h/b", False),
        ("https://h:8080/a", "https://h/a", False),
    ],
)
def test_identity(one: str, two: str, same: bool) -> None:
    assert (identity(one) == identity(two)) is same


def test_names_shown() -> None:
    assert mirror_at("https://me:x@host/simple").redacted == "https://host/simple"
    assert mirror_at("https://me:x@host/simple", name="corp").redacted == "corp (https://host/simple)"


@pytest.mark.parametrize("wanted", ["file:", "file://", "file:wheels", "file://wheels/x", "file://server/share"])
def test_a_folder_that_is_not_on_this_host(host: Host, wanted: str) -> None:
    with pytest.raises(UsageError, match="not a folder of this host") as caught:
        host.mirrors(wanted)
    assert caught.value.hint == "write file:///FOLDER, from the root on"


def test_a_folder_on_the_local_host(host: Host) -> None:
    assert host.mirrors("file://localhost/srv/wheels")[0].url == "file://localhost/srv/wheels"
