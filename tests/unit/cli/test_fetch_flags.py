"""Each flag of a fetch changes what happens, from the command line down to the mirror."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.mirror import FakeMirror, make_wheel

WHEEL, DATA = make_wheel("some-demo", size=6 << 20)
NAME = WHEEL.filename


def fetch(folder: Path, mirror: str, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command on a lock of one wheel."""
    lock = folder / "pylock.toml"
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "some-demo"\nversion = "1.0"\n'
        f'wheels = [{{ name = "{NAME}", url = "https://host.invalid/{NAME}", '
        f'size = {len(DATA)}, hashes = {{ sha256 = "{WHEEL.sha256}" }} }}]\n'
    )
    command = [sys.executable, "-m", "paddle_bootstrap", "fetch", "--lock", str(lock), "--mirror", mirror]
    command += ["--store", str(folder / "store"), "--python", sys.executable, *flags]
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3]), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=folder, check=False)


def test_connections(tmp_path: Path) -> None:
    with FakeMirror({NAME: DATA}, rate=6e6) as mirror:
        assert fetch(tmp_path, mirror.url, "--connections", "1").returncode == 0
        assert mirror.busiest == 1
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "paddle-bootstrap.toml").write_text("connections = 2\n")
        assert fetch(tmp_path, mirror.url).returncode == 0
        assert mirror.busiest == 2


def test_limit_rate(tmp_path: Path) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        began = time.monotonic()
        assert fetch(tmp_path, mirror.url, "--limit-rate", "4M").returncode == 0
    assert time.monotonic() - began > len(DATA) / 4e6 - 0.1


@pytest.mark.parametrize("flag", [("--limit-rate", "fast"), ("--limit-rate", "1"), ("--connections", "0")])
def test_nonsense(tmp_path: Path, flag: tuple[str, str]) -> None:
    done = fetch(tmp_path, "http://127.0.0.1:9/simple", *flag)
    assert done.returncode == 2
    assert flag[0] in done.stderr


def test_json_progress(tmp_path: Path) -> None:
    with FakeMirror({NAME: DATA}, rate=8e6) as mirror:
        done = fetch(tmp_path, mirror.url, "--json-progress")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"step", "transfer", "total"} <= {event["event"] for event in events}
    assert events[-1] == {"event": "transfer", "file": NAME, "bytes": len(DATA), "of": len(DATA)}
    assert any(event.get("seconds_left") for event in events)


def test_plain_progress_is_one_line_per_file(tmp_path: Path) -> None:
    with FakeMirror({NAME: DATA}, rate=8e6) as mirror:
        done = fetch(tmp_path, mirror.url)
    assert [line for line in done.stderr.splitlines() if NAME in line and "6.3 MB  in " in line]
    assert "\r" not in done.stderr


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=somebody-else"
    key, public = tmp_path / "key", tmp_path / "public"
    subprocess.run([openssl, *request.split(), "-keyout", key, "-out", public], check=True, capture_output=True)
    (tmp_path / "both").write_bytes(key.read_bytes() + public.read_bytes())
    return tmp_path / "both"


def test_trusted_host(tmp_path: Path, certificate: Path) -> None:
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    with FakeMirror({NAME: DATA}, tls=certificate) as mirror:
        refused = fetch(tmp_path, mirror.url)
        assert refused.returncode == 12
        assert "certificate is not trusted" in refused.stderr
        assert fetch(tmp_path, mirror.url, "--trusted-host", "other").returncode == 12
        done = fetch(tmp_path, mirror.url, "--trusted-host", f"127.0.0.1:{mirror.port}")
    assert done.returncode == 0, done.stderr
    assert "its certificate is not checked" in done.stderr
    assert not any("Authorization" in request.headers for request in mirror.requests)


def test_a_trusted_host_gets_no_password(tmp_path: Path, certificate: Path) -> None:
    with FakeMirror({NAME: DATA}, tls=certificate) as mirror:
        done = fetch(tmp_path, mirror.url.replace("://", "://me:s3cret@"), "--trusted-host", "127.0.0.1")
    assert done.returncode == 2
    assert "holds credentials" in done.stderr
    assert "s3cret" not in done.stderr
    assert mirror.requests == []
