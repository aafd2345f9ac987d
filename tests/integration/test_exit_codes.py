"""Every exit code end to end: the command as scripts call it, on a host, a mirror or a file that really is so.

70, a bug of ours, cannot be had from here: tests/unit/cli/test_usage.py brings one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.fakes.host import H100, NO_GPU, FakeHost
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.fakes.wheels import CPU, FakeWheel, Provisioning, cpu_set, write_lock

SMALL = "demo-1.0-py3-none-any.whl"


@dataclass(frozen=True)
class Tool:
    """The command, in a folder of its own."""

    folder: Path

    def start(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "paddle_bootstrap", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), **(environ or {})},
        )

    def __call__(
        self, *words: str | Path, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        running = self.start(*words, environ=environ)
        out, err = running.communicate(timeout=60)
        assert ("Traceback" in err) == (running.returncode == 70), err
        return subprocess.CompletedProcess(words, running.returncode, out, err)

    def fetch(self, lock: Path, *mirrors: str) -> list[str]:
        """The words of a fetch of ``lock`` from ``mirrors`` alone."""
        named = [word for mirror in mirrors for word in ("--mirror", mirror)]
        return ["fetch", "--lock", str(lock), "--python", sys.executable, "--store", "store", *named]

    def lock(self, data: bytes, name: str = SMALL) -> Path:
        path = self.folder / "wheels" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return write_lock(self.folder / "pylock.small.toml", [FakeWheel("demo", "1.0", path)])


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    (tmp_path / "work").mkdir()
    return Tool(tmp_path / "work")


def fakes(host: FakeHost, folder: Path) -> dict[str, str]:
    (folder / "host").mkdir()
    return host.write(folder / "host")


@pytest.mark.paddle
def test_0_accepted(tool: Tool, cpu_target: Path) -> None:
    done = tool("verify", "--env", cpu_target, "--results", "r.json", "--report", "r.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("REHEARSAL on the CPU, no GPU was judged: ACCEPTED\n")
    told = json.loads((tool.folder / "r.json").read_text())
    assert (told["verdict"], told["exit_code"], told["rehearsal"]) == ("accepted", 0, True)
    assert ET.parse(tool.folder / "r.xml").getroot().get("failures") == "0"
    assert tool("report", "r.json").stdout == done.stdout


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (NO_GPU, "the NVIDIA driver is missing"),
        (FakeHost(gpus=(H100, H100)), "no machine code for sm_90"),
    ],
    ids=["no GPU", "H100"],
)
def test_1_rejected_before_anything_is_downloaded(tool: Tool, host: FakeHost, says: str, tmp_path: Path) -> None:
    environ = fakes(host, tmp_path)
    asked = () if host is NO_GPU else ("--paddle", "2.6.2")  # another build would fit
    done = tool("up", *asked, "--env", "env", "--store", "store", "--results", "r.json", environ=environ)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("REJECTED before anything was downloaded\n")
    assert says in " ".join(done.stdout.split())
    assert "--device cpu" in done.stdout  # a way on
    told = json.loads((tool.folder / "r.json").read_text())
    assert (told["verdict"], told["exit_code"], told["stage"]) == ("rejected", 1, "preflight")
    assert sorted(path.name for path in tool.folder.iterdir()) == ["r.json"]


def test_1_rejected_before_a_lock_is_composed(tool: Tool, tmp_path: Path) -> None:
    """A build without a shipped lock: what is known of it is enough to judge a host by."""
    host = FakeHost(gpus=(H100, H100), driver="550.54.15", lost=(1,))
    done = tool("up", "--env", "env", "--store", "store", "--results", "r.json", environ=fakes(host, tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "==> preflight: may this host run gpu-3_3_1-cu126? (the newest that fits this host)" in done.stderr
    assert "driver 550.54.15 is below 560.28.03" in done.stderr
    told = json.loads((tool.folder / "r.json").read_text())
    assert (told["lock"]["name"], told["lock"]["sha256"]) == ("gpu-3_3_1-cu126", None)
    assert told["lock"]["build"]["index_folder"] == "cu126"
    failed = [check["id"] for check in told["checks"] if check["outcome"] == "failed"]
    assert failed == ["host.gpus_on_bus"]
    assert tool("report", "r.json").stdout == done.stdout
    assert sorted(path.name for path in tool.folder.iterdir()) == ["r.json"]


def test_2_usage(tool: Tool) -> None:
    (tool.folder / "paddle-bootstrap.toml").write_text('stroe = "x"\n')
    done = tool("up")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {tool.folder}/paddle-bootstrap.toml: unknown key 'stroe'\nnext:  did you mean 'store'?\n"
    )


@pytest.mark.paddle
def test_3_inconclusive(tool: Tool, cpu_target: Path) -> None:
    """A run of nothing proves nothing."""
    done = tool("verify", "--env", cpu_target, "-k", "nothing_matches", "--results", "r.json")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no check ran: nothing was proved" in done.stdout
    assert json.loads((tool.folder / "r.json").read_text())["checks"] == []


@pytest.mark.paddle
def test_the_verdict_stands_when_nobody_reads_the_report(tool: Tool, cpu_target: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    words = ["verify", "--env", str(cpu_target), "-k", "nothing_matches", "--results", "r.json"]
    done = subprocess.run(
        [sys.executable, "-m", "paddle_bootstrap", *words],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tool.folder,
        check=False,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (3, "==> results: r.json\n")


def test_10_a_lock_of_another_platform(tool: Tool) -> None:
    lock = tool.lock(make_wheel()[1], "demo-1.0-cp311-cp311-win_amd64.whl")
    done = tool(*tool.fetch(lock))
    assert (done.returncode, done.stdout) == (10, "")
    assert "pylock.small.toml does not fit" in done.stderr
    assert "linux x86_64" in done.stderr


def test_10_an_interpreter_that_no_lock_serves(tool: Tool) -> None:
    done = tool("install", "--device", "cpu", "--python", "3.7", "--env", "env", "--store", "store")
    assert (done.returncode, done.stdout) == (10, "")
    assert "3.7" in done.stderr
    assert sorted(path.name for path in tool.folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "no hash"])
def test_11_a_damaged_lock(tool: Tool, damage: str) -> None:
    lock = tool.lock(make_wheel()[1])
    text = lock.read_text()
    lock.write_text(text[: len(text) // 2] if damage == "cut" else text.replace("sha256", "md5"))
    done = tool(*tool.fetch(lock))
    assert (done.returncode, done.stdout) == (11, "")
    assert f"{lock}" in done.stderr
    assert "next:  " in done.stderr


def test_12_no_mirror_serves(tool: Tool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        with FakeMirror({}) as empty:
            done = tool(*tool.fetch(tool.lock(make_wheel()[1]), address, empty.url))
    assert (done.returncode, done.stdout) == (12, "")
    assert f"none of 2 mirrors could serve {SMALL}" in done.stderr
    assert f"  - {address}: " in done.stderr
    assert f"  - {empty.url}: " in done.stderr


def test_13_wrong_bytes(tool: Tool) -> None:
    data = make_wheel()[1]
    with FakeMirror({SMALL: data}, faults={SMALL: Fault(wrong=True)}) as mirror:
        done = tool(*tool.fetch(tool.lock(data), mirror.url))
    assert (done.returncode, done.stdout) == (13, "")
    assert f"other bytes than the lock's for {SMALL}" in done.stderr
    assert list((tool.folder / "store").rglob("*.whl")) == []


@pytest.mark.parametrize("target", ["a file", "below a file", "/proc/paddle"])
def test_14_a_target_that_cannot_be(tmp_path: Path, target: str) -> None:
    it = Provisioning(tmp_path)
    (tmp_path / "mine").write_text("mine")
    place = {"a file": tmp_path / "mine", "below a file": tmp_path / "mine" / "env"}.get(target, Path(target))
    done = it.install("cpu", env=place)
    assert (done.returncode, done.stdout) == (14, "")
    assert "Traceback" not in done.stderr
    assert str(place) in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_14_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    """The new lock's wheel is in the store, and is no wheel."""
    it = Provisioning(tmp_path)
    assert it.install("cpu").returncode == 0
    for wheel in it.sets["one"]:
        wheel.path.write_bytes(b"not a zip file")
    write_lock(it.lock("one"), it.sets["one"])
    for wheel in it.sets["one"]:
        place = it.store.path(wheel.sha256, wheel.path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(wheel.path.read_bytes())
    done = it.install("one")
    assert (done.returncode, done.stdout) == (14, "")
    assert it.edition() == CPU
    assert it.beside() == set()


def stored(folder: Path) -> int:
    """Bytes of the files in ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_130_interrupted_and_continued(tool: Tool) -> None:
    _, data = make_wheel(size=3_000_000)
    with FakeMirror({SMALL: data}) as mirror:
        mirror.faults[SMALL] = Fault(silent=threading.Event(), stall_after=1 << 21, times=1)
        words = tool.fetch(tool.lock(data), mirror.url)
        running = tool.start(*words)
        deadline = time.monotonic() + 20
        while not stored(tool.folder / "store" / "partial") and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
        assert (running.returncode, out) == (130, ""), err
        assert "interrupted: the target is as it was; run the same command again to continue" in err
        assert "Traceback" not in err
        assert list((tool.folder / "store").rglob(SMALL)) == []
        assert tool(*words).returncode == 0
        assert mirror.served(SMALL)[-1].headers["Range"].startswith("bytes=")


def test_a_mirror_is_enough_to_install(tool: Tool) -> None:
    """The tests above can succeed."""
    wheels = cpu_set(tool.folder / "wheels")
    lock = write_lock(tool.folder / "pylock.cpu.toml", wheels)
    with FakeMirror({wheel.path.name: wheel.path.read_bytes() for wheel in wheels}) as mirror:
        words: list[str | Path] = [
            "install",
            "--lock",
            lock,
            "--python",
            sys.executable,
            "--store",
            "store",
            "--env",
            "env",
        ]
        done = tool(*words, "--mirror", mirror.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"to use it:  source {tool.folder}/env/bin/activate"
