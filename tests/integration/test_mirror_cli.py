"""``paddle-bootstrap mirror`` through the command line, with the real pip and the real uv, on loopback mirrors."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.fakes.desk import PIP_BY_HAND, TOOL, UV_BY_HAND, Desk
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.fakes.wheels import cpu_set, write_lock

SIX, SIX_BYTES = make_wheel("six", "1.17.0")
OWN, OWN_BYTES = make_wheel("own-package", "1.0")
FILES = {SIX.filename: SIX_BYTES}
SECRET = "s3cret-p%40ss"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def agents(mirror: FakeMirror) -> set[str]:
    """Which programs asked for the package's page."""
    return {
        re.split(r"[/ ]", request.headers.get("User-Agent", "?"))[0]
        for request in mirror.requests
        if request.path == "/simple/six/"
    }


def test_use_then_the_real_tools_then_undo(desk: Desk) -> None:
    before = desk.settings()
    with FakeMirror(FILES) as mirror:
        desk.write("work/paddle-bootstrap.toml", f'[[mirror]]\nname = "corp"\nurl = "{mirror.url}"\n')
        table = desk.settings()
        done = desk.mirror("use", "corp")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"changed {desk.pip}",
            f"changed {desk.uv}",
            f"pip and uv: {mirror.url} ([[mirror]] in paddle-bootstrap.toml)",
            "to take it back:  paddle-bootstrap mirror undo",
        ]
        assert agents(mirror) == {"pip", "uv"}  # the proof
        mirror.requests.clear()
        assert (
            desk.run(TOOL / "pip", "download", "--no-deps", "--no-cache-dir", "-d", desk.folder, "six").returncode == 0
        )
        compiled = desk.run(find_uv_bin(), "pip", "install", "--no-cache", "--target", str(desk.folder / "t"), "six")
        assert compiled.returncode == 0, compiled.stderr
        assert agents(mirror) == {"pip", "uv"}
        assert f"pip: {mirror.url}  (index-url in {desk.pip} wins)" in desk.mirror("status").stdout
        assert "# set by hand" in desk.pip.read_text()
        assert "# here too" in desk.uv.read_text()
        again = desk.mirror("use", mirror.url)
        assert again.returncode == 0
        assert again.stdout.endswith(" (as named), as before\n")
    assert desk.mirror("undo").returncode == 0
    assert desk.settings() == table
    (desk.cwd / "paddle-bootstrap.toml").unlink()
    assert desk.settings() == before
    nothing = desk.mirror("undo")
    assert (nothing.returncode, "nothing to undo" in nothing.stderr) == (2, True)


def test_files_and_folders_that_were_not_there_go_again(desk: Desk) -> None:
    shutil.rmtree(desk.folder / "home/.config")
    with FakeMirror(FILES) as mirror:
        assert desk.mirror("use", mirror.url, "--for", "uv").returncode == 0
    assert [path.name for path in (desk.folder / "home/.config").iterdir()] == ["uv"]
    assert desk.mirror("undo").returncode == 0
    assert not (desk.folder / "home/.config").exists()


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize("what", ["page", "file"])
def test_a_mirror_that_refuses_the_tool_is_not_kept(desk: Desk, tool: str, what: str) -> None:
    before = desk.settings()
    with FakeMirror(FILES, login=("other", "person") if what == "page" else None) as mirror:
        mirror.faults[SIX.filename] = Fault(status=403)
        done = desk.mirror("use", mirror.url, "--for", tool)
    assert done.returncode == 12, done.stderr
    assert f"{tool} could not fetch through" in done.stderr
    assert "--no-check" in done.stderr
    assert desk.settings() == before
    assert desk.mirror("undo").returncode == 2


def test_an_interrupt_brings_the_old_settings_back(desk: Desk) -> None:
    before = desk.settings()
    with FakeMirror(FILES) as mirror:
        mirror.faults[SIX.filename] = Fault(silent=threading.Event())
        command = [sys.executable, "-m", "paddle_bootstrap", "mirror", "use", mirror.url]
        with subprocess.Popen(command, env=desk.environ, cwd=desk.cwd, stderr=subprocess.PIPE, text=True) as running:
            while not mirror.served(SIX.filename):  # pip waits for the file
                assert running.poll() is None, running.stderr and running.stderr.read()
                time.sleep(0.02)
            assert desk.settings() != before
            running.send_signal(signal.SIGINT)
            assert running.wait(20) == 130
    assert desk.settings() == before


def test_the_pip_that_reads_another_file_is_found_out(desk: Desk) -> None:
    """An environment that is not active, but whose pip stands first on PATH, has a settings file of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", desk.folder / "venv"], check=True)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    start = f"import sys; sys.path.append({site!r}); from pip._internal.cli.main import main; sys.exit(main())"
    pip = desk.write("venv/bin/pip", f"#!{desk.folder}/venv/bin/python\n{start}\n")
    pip.chmod(0o755)
    (desk.folder / "venv/pip.conf").write_text("[global]\nindex-url = https://other.invalid/simple\n")
    before = desk.settings()
    with FakeMirror(FILES) as mirror:
        done = desk.mirror("use", mirror.url, "--for", "pip", environ={"PATH": f"{desk.folder}/venv/bin:/usr/bin:/bin"})
    assert done.returncode == 12, done.stderr
    assert "a settings file of its own installation wins" in done.stderr
    assert desk.settings() == before


def test_another_index_does_not_hide_a_dead_one(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / SIX.filename).write_bytes(SIX_BYTES)
    with FakeMirror(FILES) as other:
        extra = {"PIP_FIND_LINKS": str(tmp_path), "PIP_EXTRA_INDEX_URL": other.url, "UV_EXTRA_INDEX_URL": other.url}
        for tool in ("pip", "uv"):
            done = desk.mirror("use", "http://127.0.0.1:9/simple", "--for", tool, environ=extra)
            assert done.returncode == 12, done.stderr


def test_without_the_proof(desk: Desk) -> None:
    done = desk.mirror(
        "use", "https://corp.invalid/simple", "--no-check", environ={"PIP_INDEX_URL": "https://o.invalid/s"}
    )
    assert done.returncode == 0, done.stderr
    assert "pip does not use corp.invalid yet: index-url in PIP_INDEX_URL wins" in done.stderr
    assert "index-url = https://corp.invalid/simple" in desk.pip.read_text()


def test_a_host_without_pip(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with FakeMirror(FILES) as mirror:
        done = desk.mirror("use", mirror.url, "--for", "pip", environ={"PATH": str(tmp_path / "bin")})
    assert done.returncode == 0, done.stderr
    assert "nothing proves it" in done.stderr


def test_what_the_user_asks_of_packages_does_not_spoil_the_proof(desk: Desk) -> None:
    strict = {"PIP_REQUIRE_HASHES": "1", "UV_REQUIRE_HASHES": "1", "PIP_NO_BINARY": ":all:"}
    with FakeMirror(FILES) as mirror:
        done = desk.mirror("use", mirror.url, environ=strict)
    assert done.returncode == 0, done.stderr


def test_dry_run_shows_the_diff_and_writes_nothing(desk: Desk) -> None:
    before = desk.settings()
    done = desk.mirror("use", f"https://me:{SECRET}@corp.invalid/simple", "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"--- {desk.pip}", f"+++ {desk.pip}"]
    assert "+index-url = https://***@corp.invalid/simple" in lines
    assert '+url = "https://***@corp.invalid/simple"' in lines
    assert desk.settings() == before
    assert not (desk.folder / "state").exists()


def test_the_password_is_nowhere_but_in_the_settings(desk: Desk) -> None:
    with FakeMirror(FILES, login=("me", "s3cret-p@ss")) as mirror:
        address = mirror.url.replace("http://", f"http://me:{SECRET}@")
        log = ("--log-file", desk.folder / "log")
        told = [desk.mirror("use", address, "-v", *log)]
        assert told[0].returncode == 0, told[0].stderr
        told += [
            desk.mirror(*words, *log) for words in (["status"], ["list", "-v"], ["env", address], ["pip-args", address])
        ]
        wheels = cpu_set(desk.folder / "wheels")
        lock = write_lock(desk.folder / "pylock.cpu.toml", wheels)
        told.append(desk.mirror("rank", "--lock", lock, "--python", sys.executable, "--mirror", address, *log))
        mirror.login = ("me", "changed")
        told.append(desk.mirror("use", address.replace("/simple", "/other/simple"), "-v", *log))
        assert [done.returncode for done in told] == [0, 0, 0, 0, 0, 12, 12]
    spellings = ("s3cret-p@ss", SECRET)
    assert not any(word in done.stdout + done.stderr for done in told for word in spellings)
    holding = [
        path
        for path in desk.folder.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes() for word in spellings)
    ]
    assert sorted(holding) == [desk.pip, desk.uv]
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
    assert desk.mirror("undo").returncode == 0
    assert (desk.pip.read_text(), desk.uv.read_text()) == (PIP_BY_HAND, UV_BY_HAND)
    assert {path.stat().st_mode & 0o777 for path in (desk.pip, desk.uv)} == {0o644}


def test_what_somebody_changed_since_is_not_undone(desk: Desk) -> None:
    assert desk.mirror("use", "https://corp.invalid/simple", "--for", "pip", "--no-check").returncode == 0
    desk.pip.write_text("# mine now\n")
    done = desk.mirror("undo")
    assert (done.returncode, "--force" in done.stderr) == (2, True)
    assert desk.pip.read_text() == "# mine now\n"
    assert desk.mirror("undo", "--force").returncode == 0
    assert desk.pip.read_text() == PIP_BY_HAND


def test_own_packages_come_from_their_index_alone(desk: Desk) -> None:
    project = desk.write(
        "work/pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = ["own-package", "six"]\n'
    )
    before = desk.settings()
    evil, evil_bytes = make_wheel("own-package", "99.0")
    with FakeMirror({OWN.filename: OWN_BYTES}) as private, FakeMirror({**FILES, evil.filename: evil_bytes}) as public:
        done = desk.mirror("use", private.url, "--package", "own-package")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"changed {project}\n")
        compiled = desk.run(
            find_uv_bin(),
            "pip",
            "compile",
            "pyproject.toml",
            "--no-cache",
            "-q",
            environ={"UV_DEFAULT_INDEX": public.url},
        )
        assert "own-package==1.0\n" in compiled.stdout, compiled.stderr
        assert "six==1.17.0\n" in compiled.stdout
        assert "/simple/own-package/" not in public.paths()
        missing = desk.mirror("use", private.url, "--package", "six")
        assert missing.returncode == 12
    assert desk.mirror("undo").returncode == 0
    assert desk.settings() == before


def test_the_interpreters_of_uv(desk: Desk) -> None:
    desk.write(
        "work/paddle-bootstrap.toml", '[[mirror]]\nname = "py"\nurl = "https://py.invalid/b/"\nholds = "python"\n'
    )
    before = desk.settings()
    done = desk.mirror("use", "py")
    assert done.returncode == 0, done.stderr
    listed = desk.run(find_uv_bin(), "python", "list", "--only-downloads", "--show-urls", "3.12")
    assert "https://py.invalid/b/" in listed.stdout
    assert "interpreters from https://py.invalid/b/" in desk.mirror("status").stdout
    assert desk.mirror("undo").returncode == 0
    assert desk.settings() == before


def test_for_one_shell_and_for_one_command(desk: Desk) -> None:
    with FakeMirror(FILES) as mirror:
        tool = f"{sys.executable} -m paddle_bootstrap mirror"
        words = f"download --no-deps --no-cache-dir -d {desk.folder} six"
        done = desk.run("/bin/sh", "-ec", f'eval "$({tool} env {mirror.url})"; pip {words}')
        assert done.returncode == 0, done.stderr
        done = desk.run("/bin/sh", "-ec", f"pip {words} $({tool} pip-args {mirror.url})")
        assert done.returncode == 0, done.stderr
        assert agents(mirror) == {"pip"}


def test_closed_outputs(desk: Desk) -> None:
    tool = f"{sys.executable} -m paddle_bootstrap mirror"
    assert desk.run("/bin/sh", "-c", f"{tool} status 2>&-").stdout.startswith("pip: ")
    done = desk.run("/bin/sh", "-c", f"{tool} use tsuna >&-")
    assert (done.returncode, "unknown mirror" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["use", "tsuna"], "did you mean tuna"),
        (["use", "paddle"], "dependency confusion"),
        (["use", "tuna", "--for", "conda"], "give pip, uv, or pip,uv"),
        (["use", "tuna", "--for", ""], "give pip, uv, or pip,uv"),
        (["use", "https://me:secret@h:port/s"], "not a web address"),
        (["use", "me:secret@corp.example/simple"], "an address begins with https://: https://***@corp.example/simple"),
        (["use", "pypi.corp.example/simple"], "an address begins with https://"),
        (["env", "paddle-bj"], "Paddle's wheels alone"),
        (["rank", "--mirror", "nju-python"], "interpreters"),
    ],
)
def test_bad_input(desk: Desk, words: list[str], told: str) -> None:
    done = desk.mirror(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "secret" not in done.stderr
