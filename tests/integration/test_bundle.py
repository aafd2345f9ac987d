"""A bundle with the real tool in it, on a host that has a loopback interface and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.host import pythons
from tests.fakes.wheels import FakeWheel, cpu_set, fill, write_lock

pytestmark = pytest.mark.registry  # the tool's own wheels are the real ones

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
CHECK = 'def check_scratch(host):\n    """The site\'s own."""\n    assert host\n'
ONE_CHECK = ("--device", "cpu", "-k", "packages or scratch")  # the wheels are fakes: nothing trains


def tool(*words: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paddle_bootstrap", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "HOME": str(cwd), "UV_CACHE_DIR": str(cwd / "uv"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class Made:
    """What `bundle create` made, and of what."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "tiny.bundle"
        self.wheels: tuple[FakeWheel, ...] = cpu_set(root / "wheels")
        self.lock = write_lock(root / "pylock.tiny.toml", self.wheels)
        self.site = root / "site"
        self.site.mkdir()
        (self.site / "check_scratch.py").write_text(CHECK)
        fill(Store(root / "store"), self.wheels)
        self.create("-o", self.file)

    def create(self, *more: str | Path) -> str:
        places = ("--lock", self.lock, "--store", self.root / "store", "--python", sys.executable)
        done = tool("bundle", "create", *places, "--checks", self.site, *more, cwd=self.root)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def isolated(
    *command: str | Path, cwd: Path, path: str | None = None, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` where there is no network; ``before``: a shell command as root of that namespace."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-rnm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this host permits no network namespace (unshare -rnm)")
    script = f'ip link set lo up 2>/dev/null; {before or ":"} && exec "$@"'
    return subprocess.run(
        [unshare, "-rnm", "sh", "-c", script, "sh", *map(str, command)],
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": path or os.environ["PATH"], "XDG_STATE_HOME": str(cwd / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def bin_with(folder: Path, **programs: str) -> str:
    """A PATH with these alone, beside what sh itself needs."""
    folder.mkdir()
    for name, target in programs.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{target}" "$@"\n')
        (folder / name).chmod(0o755)
    for name in ("sh", "ip", "mount"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return str(folder)


def test_from_a_bare_directory_to_accepted(made: Made, tmp_path: Path) -> None:
    done = isolated("sh", made.file, "--into", tmp_path / "into", *ONE_CHECK, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ACCEPTED" in done.stdout
    results = json.loads((tmp_path / "state/paddle-bootstrap/results.json").read_text())
    assert {check["id"] for check in results["checks"]} >= {"install.packages", "scratch.scratch"}
    assert results["lock"]["name"] == "tiny"
    python = tmp_path / ".venv-paddle/bin/python"
    code = "import paddle; print(paddle.EDITION)"
    assert subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout == "cpu\n"
    again = isolated("sh", made.file, "--into", tmp_path / "into", *ONE_CHECK, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "nothing to do, tiny is installed" in again.stderr
    assert "making the tool's environment" not in again.stderr
    changed = next((tmp_path / "into/store/wheels").rglob("paddlepaddle-*.whl"))
    changed.write_bytes(b"x" * changed.stat().st_size)
    mended = isolated("sh", made.file, "--into", tmp_path / "into", "install", cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert changed.read_bytes() == made.wheels[0].path.read_bytes()


def test_equal_input_gives_equal_bytes(made: Made, tmp_path: Path) -> None:
    made.create("-o", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == made.file.read_bytes()


def test_it_starts_on_python_3_8(made: Made, tmp_path: Path) -> None:
    old = next((python.path for python in pythons.find(os.environ) if python.minor == "3.8"), None)
    if old is None:
        pytest.skip("there is no Python 3.8 here")
    only_old = bin_with(tmp_path / "old", python3=old)
    done = isolated("sh", made.file, *ONE_CHECK, "--into", tmp_path / "into", cwd=tmp_path, path=only_old)
    assert done.returncode == 10, done.stderr
    assert "the tool needs Python 3.10 or 3.11" in done.stderr
    assert "(found 3.8: " in done.stderr
    assert not (tmp_path / "into").exists()
    both = bin_with(tmp_path / "both", python3=old, **{f"python{MINOR}": sys._base_executable})  # type: ignore[attr-defined]
    done = isolated("sh", made.file, *ONE_CHECK, "--into", tmp_path / "into", cwd=tmp_path, path=both)
    assert done.returncode == 0, done.stderr


def test_without_any_python(made: Made, tmp_path: Path) -> None:
    done = isolated("sh", made.file, cwd=tmp_path, path=bin_with(tmp_path / "bin"))
    assert done.returncode == 10
    assert "error: python3 3.8 or newer is needed to unpack this bundle" in done.stderr


def test_what_is_there_already(made: Made, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (into / "mine").write_text("not to be touched")
    done = isolated("sh", made.file, "--into", into, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"error: {into} is there and holds something else\nnext:  remove {into}, or name another --into" in done.stderr
    )
    done = isolated("sh", made.file, "--into", into / "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert [path.name for path in into.iterdir()] == ["mine"]


def test_no_room(made: Made, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    done = isolated(
        "sh", made.file, "--into", small / "into", cwd=tmp_path, before=f"mount -t tmpfs -o size=1M none '{small}'"
    )
    assert done.returncode == 14, done.stderr
    assert "lacks room" in done.stderr


def test_damaged_ones_run_nothing(made: Made, tmp_path: Path) -> None:
    content = made.file.read_bytes()
    for name, damaged in {
        "cut": content[:-20_000],
        "changed": content.replace(b"[tool.paddle-bootstrap]", b"[tool.paddle-bootstrab]", 1),
    }.items():
        bad = tmp_path / name
        bad.write_bytes(damaged)
        done = isolated("sh", bad, *ONE_CHECK, cwd=tmp_path)
        assert done.returncode == 13, done.stderr
        assert not (tmp_path / f"{name}.d/tool/env").exists()
        assert tool("bundle", "verify", bad, cwd=tmp_path).returncode == 13
        assert tool("install", "--offline", bad, "--store", tmp_path / "s", cwd=tmp_path).returncode == 13
    assert not (tmp_path / ".venv-paddle").exists()


def test_split(made: Made, tmp_path: Path) -> None:
    told = made.create("-o", tmp_path / "it", "--split", "9M")
    assert [Path(line.split(" (")[0]).name for line in told.splitlines()] == ["it.001", "it.002", "it.003"]
    done = isolated("sh", tmp_path / "it.001", "fetch", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "it.d/manifest.json").is_file()
    (tmp_path / "it.002").unlink()
    done = isolated("sh", tmp_path / "it.001", "fetch", cwd=tmp_path)
    assert done.returncode == 13
    assert "it.002 is missing" in done.stderr


def test_the_tool_takes_it(made: Made, tmp_path: Path) -> None:
    places = ("--env", tmp_path / "env", "--store", tmp_path / "store", "--results", tmp_path / "r.json")
    done = tool("up", *places, *ONE_CHECK, "--offline", made.file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "==> taking 2 wheels of tiny" in done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    assert {record["mirror"] for record in results["transfers"]} == {"bundle tiny.bundle"}
    assert "scratch.scratch" in {check["id"] for check in results["checks"]}
    done = tool("install", "--env", tmp_path / "two", "--store", tmp_path / "store", "--lock", made.lock, "--offline",
                "--python", sys.executable, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_is_not_in_it(made: Made, tmp_path: Path) -> None:
    other = write_lock(tmp_path / "pylock.other.toml", cpu_set(tmp_path / "other", "other"))
    places = ("--store", tmp_path / "store", "--python", sys.executable)
    done = tool("fetch", *places, "--lock", other, "--offline", made.file, cwd=tmp_path)
    assert done.returncode == 10, done.stderr
    assert f"holds the wheels of pylock.tiny.toml and Python {MINOR}, and lacks 2 that this run needs" in done.stderr
    done = tool("fetch", *places, "--lock", other, "--offline", cwd=tmp_path)
    assert done.returncode == 12
    assert f"error: --offline: 2 wheels are not in the store {tmp_path / 'store'}" in done.stderr
    done = tool("fetch", "--offline", made.file, "--device", "gpu", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds a cpu build, but --device gpu was asked for" in done.stderr
    done = tool("fetch", "--offline", made.file, "--mirror", "tuna", cwd=tmp_path)
    assert done.returncode == 2
    assert "--offline asks no mirror, but --mirror names one" in done.stderr


def test_import_into_a_store(made: Made, tmp_path: Path) -> None:
    done = tool("bundle", "import", made.file, "--store", tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store")
    paths = [store.path(wheel.sha256, wheel.path.name) for wheel in made.wheels]
    lock = tmp_path / "store/locks/pylock.tiny.toml"
    assert sorted(done.stdout.splitlines()) == sorted(map(str, [*paths, lock]))
    done = tool("fetch", "--lock", lock, "--store", store.root, "--python", sys.executable, "--offline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(map(str, paths))


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_signed_as_the_settings_say(made: Made, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    (tmp_path / "allowed").write_text(f"ops@example.com {(tmp_path / 'key.pub').read_text()}")
    settings = tmp_path / "paddle-bootstrap.toml"
    settings.write_text('[bundle]\nsign-key = "key"\nallowed-signers = "allowed"\n')
    made.create("-o", tmp_path / "signed", "--config", settings)
    done = tool("bundle", "verify", tmp_path / "signed", cwd=tmp_path)
    assert "signature  by ops@example.com" in done.stdout, done.stderr
    done = isolated("sh", tmp_path / "signed", "fetch", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "==> signed by ops@example.com" in done.stderr
    for command in (
        ("bundle", "verify", made.file),
        ("fetch", "--offline", made.file),
        ("bundle", "import", made.file),
    ):
        done = tool(*command, cwd=tmp_path)
        assert done.returncode == 13, done.stderr
        assert "is not signed, but" in done.stderr
    done = isolated("sh", made.file, "--into", tmp_path / "into", cwd=tmp_path)
    assert done.returncode == 13
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--split", "10k"), 2, "is no size of at least 1M"),
        (("--interpreter", "none.tar.gz"), 2, "--interpreter none.tar.gz"),
        (("--checks", "none"), 2, "no such directory"),
        (("--checks", "odd"), 2, "--checks: a bundle cannot hold a file of this name: odd/\u8bf4\u660e (1).md"),
        (
            ("--lock", "locks/pylock.\u751f.toml"),
            2,
            "--lock: a bundle cannot hold a file of this name: pylock.\u751f.toml",
        ),
        (
            ("--interpreter", "python (1).tar.gz"),
            2,
            "--interpreter: a bundle cannot hold a file of this name: python (1)",
        ),
        (("--sign-key", "none"), 2, "the signing key"),
        (("--python", "3.7"), 10, "3.7"),
    ],
)
def test_orders_that_cannot_be_met(made: Made, words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/check_x.py").touch()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/pylock.\u751f.toml").write_bytes(made.lock.read_bytes())
    (tmp_path / "odd/\u8bf4\u660e (1).md").touch()
    done = tool(
        "bundle", "create", "--lock", made.lock, "--store", made.root / "store", "-o", "out", *words, cwd=tmp_path
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert not (tmp_path / "out").exists()
