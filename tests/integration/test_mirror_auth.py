"""``auth`` of a [[mirror]]: the real pip and the real uv find the login too, and it stands nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.desk import PIP_BY_HAND, UV_BY_HAND, Desk
from tests.fakes.mirror import FakeMirror, make_wheel
from tests.fakes.wheels import cpu_set, write_lock

SIX, SIX_BYTES = make_wheel("six", "1.17.0")
SECRET = "s3cret-p@ss"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def mirror() -> Iterator[FakeMirror]:
    with FakeMirror({SIX.filename: SIX_BYTES}, login=("me", SECRET)) as found:
        yield found


def table(desk: Desk, mirror: FakeMirror, auth: str) -> None:
    desk.write("work/paddle-bootstrap.toml", f'[[mirror]]\nname = "corp"\nurl = "{mirror.url}"\nauth = "{auth}"\n')


def keyring(desk: Desk) -> None:
    """One that knows a user and a password (as lines; as JSON, which newer pips want), and that user's password."""
    script = f"""case "$*" in
    *--output=json*) echo '{{"username": "me", "password": "{SECRET}"}}';;
    get*) echo {SECRET};;
    *) printf "me\\n{SECRET}\\n";;
    esac"""
    desk.write("bin/keyring", f"#!/bin/sh\n{script}\n").chmod(0o755)
    desk.environ["PATH"] = f"{desk.folder}/bin:{desk.environ['PATH']}"


def provide(desk: Desk, auth: str) -> Path | None:
    """Put the login where ``auth`` says; returns the file that holds it."""
    if auth == "netrc":
        netrc = desk.write("home/.netrc", f"machine 127.0.0.1 login me password {SECRET}\n")
        netrc.chmod(0o600)
        return netrc
    if auth == "keyring":
        keyring(desk)
        return desk.folder / "bin/keyring"
    desk.environ["CORP_LOGIN"] = f"me:{SECRET}"
    return None


@pytest.mark.parametrize("auth", ["netrc", "keyring"])
def test_pip_and_uv_ask_the_same_place(desk: Desk, mirror: FakeMirror, auth: str) -> None:
    provide(desk, auth)
    table(desk, mirror, auth)
    done = desk.mirror("use", "corp")
    assert done.returncode == 0, done.stderr
    assert SECRET not in desk.pip.read_text() + desk.uv.read_text()
    assert ("keyring-provider" in desk.pip.read_text(), "keyring-provider" in desk.uv.read_text()) == (
        (auth == "keyring",) * 2
    )
    assert desk.mirror("undo").returncode == 0
    assert (desk.pip.read_text(), desk.uv.read_text()) == (PIP_BY_HAND, UV_BY_HAND)


@pytest.mark.parametrize(
    ("auth", "words", "told"),
    [
        ("env:CORP_LOGIN", ("use", "corp"), "pip and uv take no login from CORP_LOGIN"),
        ("keyring", ("use", "corp"), "there is no keyring command on PATH"),
        ("keyring", ("use", "corp", "--scope", "system"), "a keyring is one user's"),
        ("token:x", ("list",), "auth must be env:VARIABLE, netrc or keyring"),
    ],
)
def test_what_cannot_be(desk: Desk, mirror: FakeMirror, auth: str, words: tuple[str, ...], told: str) -> None:
    table(desk, mirror, auth)
    before = desk.settings()
    done = desk.mirror(*words)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert desk.settings() == before


@pytest.mark.parametrize("auth", ["env:CORP_LOGIN", "netrc", "keyring"])
def test_the_login_is_nowhere_but_where_it_was(desk: Desk, mirror: FakeMirror, auth: str) -> None:
    """In what is said and in what is written, also when the mirror refuses it."""
    holding = provide(desk, auth)
    table(desk, mirror, auth)
    wheels = cpu_set(desk.folder / "wheels")
    lock = write_lock(desk.folder / "pylock.cpu.toml", wheels)
    mirror.wheels = {wheel.path.name: wheel.path.read_bytes() for wheel in wheels}
    tool = (sys.executable, "-m", "paddle_bootstrap")
    named = ("--lock", str(lock), "--python", sys.executable, "--mirror", "corp")
    log = ("-v", "--log-file", str(desk.folder / "log"))
    store = ("--store", str(desk.folder / "store"))
    reports = ("--results", str(desk.folder / "results.json"), "--report", f"junit:{desk.folder}/report.xml")
    told = [
        desk.run(*tool, "mirror", "list", *log),
        desk.run(*tool, "mirror", "env", "corp", *log),
        desk.run(*tool, "mirror", "pip-args", "corp", *log),
        desk.run(*tool, "mirror", "rank", *named, *log),
        desk.run(*tool, "up", "--device", "cpu", "--env", str(desk.folder / "env"), *named, *store, *reports, *log),
    ]
    assert [done.returncode for done in told] == [0, 0, 0, 0, 1], told[-1].stderr  # it is no real Paddle
    assert mirror.url in (desk.folder / "results.json").read_text()
    mirror.login = ("me", "changed")
    told += [
        desk.run(*tool, "fetch", *named, "--store", str(desk.folder / "other"), "--json-progress", *log),
        desk.run(*tool, "mirror", "use", "corp", *log),
    ]
    assert [done.returncode for done in told[5:]] == [12, 2 if auth.startswith("env") else 12]
    assert f"login from {auth}" in told[0].stdout
    assert not any(SECRET in done.stdout + done.stderr for done in told)
    found = [path for path in desk.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == ([holding] if holding else [])
