"""Paths of a host whose ``/`` is mounted elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.cli.options import wish
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.rootfs import data, exists, inside, root_from, text

Put = Callable[[str, "str | bytes"], Path]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "/"), ({"PADDLE_BOOTSTRAP_ROOTFS": ""}, "/"), ({"PADDLE_BOOTSTRAP_ROOTFS": "/host"}, "/host")],
)
def test_root_from_the_environment(environ: dict[str, str], expected: str) -> None:
    assert root_from(environ) == Path(expected)


def test_a_run_reads_the_root_that_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PADDLE_BOOTSTRAP_ROOTFS", str(tmp_path))
    assert wish({}).root == tmp_path


@pytest.mark.parametrize(
    "link",
    ["/run/real", "../run/real", "/run/../run/./real", "../../../../run/real", "/run/again"],
    ids=["absolute", "relative", "dots", "above the root", "link to a link"],
)
def test_links_are_followed_below_the_root(put: Put, tmp_path: Path, link: str) -> None:
    put("run/real", "the host's")
    (tmp_path / "run/again").symlink_to("/run/real")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/file").symlink_to(link)
    assert inside(tmp_path, "etc/file") == tmp_path / "run/real"
    assert text(tmp_path, "etc/file") == "the host's"


def test_a_folder_that_is_a_link(put: Put, tmp_path: Path) -> None:
    put("usr/lib/x", "here")
    (tmp_path / "lib").symlink_to("/usr/lib")
    assert data(tmp_path, "lib/x") == b"here"


def test_what_leads_outside_is_not_there(put: Put, tmp_path: Path) -> None:
    """/proc/meminfo exists here, and must not be taken for the host's."""
    (tmp_path / "file").symlink_to("/proc/meminfo")
    assert text(tmp_path, "file") == Unknown(f"{tmp_path}/file: No such file or directory")


def test_a_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/b")
    (tmp_path / "b").symlink_to("/a")
    found = text(tmp_path, "a")
    assert isinstance(found, Unknown)
    assert found.reason == f"{tmp_path}/a: Too many levels of symbolic links"
    assert not exists(tmp_path, "a")


def test_exists(put: Put, tmp_path: Path) -> None:
    put("run/x", "")
    (tmp_path / "link").symlink_to("/run/x")
    (tmp_path / "out").symlink_to("/proc/meminfo")
    assert exists(tmp_path, "link")
    assert not exists(tmp_path, "out")


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert text(tmp_path, "etc") == Unknown(f"{tmp_path}/etc: Is a directory")


def test_bytes_that_are_not_utf8(put: Put) -> None:
    assert text(put("x", b"caf\xe9"), "x") == "caf\\xe9"


def test_the_roots_own_links_are_left_to_the_kernel() -> None:
    assert inside(Path("/"), "proc/self/status") == Path("/proc/self/status")
