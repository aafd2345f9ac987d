"""Which build a host gets, through the whole command line: real NVML bindings on a fake driver, real index pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.releases.model import releases
from paddle_bootstrap.releases.select import judge_all
from paddle_bootstrap.releases.wanted import Wanted
from paddle_bootstrap.stages import choosing
from paddle_bootstrap.stages.choosing import PROJECT_LOCK, Choice
from paddle_bootstrap.stages.wish import Wish
from tests.fakes.host import A100, H100, NO_GPU, FakeGpu, FakeHost
from tests.fakes.hosts import with_gpus
from tests.fakes.mirror import FakeMirror
from tests.unit.cli.conftest import Command

V100 = FakeGpu("Tesla V100-SXM2-32GB", "7.0")
SHIPPED = pylock.find("gpu-2_6_2-cu118")
On = Callable[[FakeHost], None]


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> On:
    """This process and its children see that host."""

    def become(host: FakeHost) -> None:
        folder = tmp_path / "host"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, value in host.write(folder).items():
            monkeypatch.setenv(name, value)

    return become


def planned(command: Command, *words: str | Path) -> dict[str, Any]:
    said = command("plan", "--json", *words)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)["plan"]
    return found


def test_the_host_decides(command: Command, on: On) -> None:
    on(FakeHost(driver="550.54.15", gpus=(H100, H100)))
    said = command("plan", "--python", "3.11")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[:3] == [
        "build     3.3.1 cu126  (the newest that fits this host)",
        "warning   driver 550.54.15 is below 560.28.03, CUDA 12.6's own: no PTX is compiled, so no CINN",
        "lock      none yet: the first run composes it, and tells then what else is fetched and the room it takes",
    ]
    assert "fetch     paddlepaddle_gpu-3.3.1-cp311-cp311-linux_x86_64.whl, and what it needs" in lines
    assert planned(command, "--python", "3.13")["missing_bytes"] == 2_021_397_999


def test_flags_change_the_choice(command: Command, on: On) -> None:
    on(FakeHost(driver="580.95.05", gpus=(A100,)))
    assert planned(command)["chosen"] == "3.3.1 cu129"
    assert planned(command, "--paddle", "auto")["chosen"] == "3.3.1 cu129"
    assert planned(command, "--paddle", ">=3.1,<3.3")["chosen"] == "3.2.2 cu126"
    assert planned(command, "--paddle", "3.3.1", "--build", "cu118")["chosen"] == "3.3.1 cu118"
    assert planned(command, "--build", "cu130", "--paddle", "3.3.1")["warnings"] == [
        "nobody has told its machine code: its bytes are checked once they are here"
    ]
    assert planned(command, "--paddle", "2.6.2")["lock"] == "gpu-2_6_2-cu118"
    assert planned(command, "--device", "cpu", "--paddle", "3.2.2")["lock"] == "cpu-3_2_2"


def test_settings_change_it_too(command: Command, on: On, here: Path) -> None:
    on(FakeHost(driver="580.95.05", gpus=(V100, A100)))
    (here / "paddle-bootstrap.toml").write_text('paddle = "3.3.1"\nbuild = "cu126"\ngpus = "1"\nallow-older = false\n')
    assert planned(command)["chosen"] == "3.3.1 cu126"
    said = command("plan", "--lock", "cpu-3_3_1")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: --lock cpu-3_3_1 holds cpu-3_3_1, but --build cu126 was asked for\n")


def test_every_build_has_its_reason(command: Command, on: On) -> None:
    on(FakeHost(driver="470.256.02", gpus=(FakeGpu("Tesla T4", "7.5"),)))
    said = command("plan", "--all")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "host  driver 470.256.02, 1 x Tesla T4 (7.5), glibc 2.35, GLIBCXX 3.4.30"
    assert lines[1].startswith("+ 3.3.1 cu118     the choice; driver 470.256.02 is below 520.61.05")
    assert "- 3.3.1 cu126     needs driver >= 525.60.13, this host has 470.256.02" in lines
    assert len(lines) == 1 + len(releases())
    told = json.loads(command("plan", "--all", "--json").out)["builds"]
    assert [row["fits"] for row in told] == [line.startswith("+") for line in lines[1:]]
    assert all(row["excluded"] or row["fits"] for row in told)


def test_10_nothing_fits(command: Command, on: On) -> None:
    on(FakeHost(driver="440.33.01", gpus=(A100,)))
    said = command("plan")
    assert (said.code, said.out) == (10, "")
    assert said.err.startswith("error: no build fits this host (--paddle auto)\n")
    assert "  - 3.3.1 cu118: needs driver >= 450.80.02, this host has 440.33.01\n" in said.err
    assert "next:  update the driver" in said.err
    said = command("plan", "--paddle", "9.9")
    assert said.code == 10
    assert "error: there is no build for --paddle 9.9\n  - 3.4.0: cu132, cu130, cu129\n" in said.err
    assert command("plan", "--paddle", "newest").code == 2


def test_10_up_says_so_before_anything_is_fetched(command: Command, on: On, here: Path) -> None:
    on(FakeHost(driver="440.33.01", gpus=(A100,)))
    assert command("up", "--store", "store").code == 10
    assert not (here / "store").exists()


def test_gpus_name_those_that_are_meant(command: Command, on: On) -> None:
    host = FakeHost(driver="550.54.15", gpus=(V100, H100))
    on(host)
    assert command("plan").code == 10  # no build holds code for both
    assert planned(command, "--gpus", "1")["chosen"] == "3.3.1 cu126"
    assert planned(command, "--gpus", host.uuid(0))["chosen"] == "3.3.1 cu118"
    for wrong, told in (
        ("2", "this host has no such GPU"),
        ("0,2", "no such GPU"),
        ("0,0", "each once"),
        ("a", "names no"),
    ):
        said = command("plan", "--gpus", wrong)
        assert said.code == 2
        assert told in said.err


def test_a_version_whose_lock_is_shipped_is_taken_at_its_word(command: Command, on: On, here: Path) -> None:
    on(FakeHost(driver="550.54.15", gpus=(H100,)))
    found = planned(command, "--paddle", "2.6.2")
    assert (found["lock"], found["why"]) == ("gpu-2_6_2-cu118", "as asked for")
    assert found["warnings"] == ["it does not fit: holds no machine code for 9.0 (NVIDIA H100 80GB HBM3)"]
    said = command("up", "--paddle", "2.6.2", "--store", "store", "--results", "r.json")
    assert said.code == 1  # and judged by it
    assert sorted(path.name for path in here.iterdir()) == ["home", "r.json"]


def test_a_host_without_a_gpu_decides_nothing(command: Command, on: On) -> None:
    on(NO_GPU)
    found = planned(command)
    assert found["lock"] == "gpu-2_6_2-cu118"
    assert "there is nothing to choose by (no driver: " in found["why"]
    found = planned(command, "--paddle", ">=3.1")  # for another host, as images are made
    assert found["chosen"] == "3.3.1 cu129"
    assert found["warnings"][0].startswith("its GPUs were not asked: no driver: ")


def test_later_runs_obey_the_projects_lock(command: Command, on: On, here: Path) -> None:
    on(FakeHost(driver="550.54.15", gpus=(H100,)))
    (here / PROJECT_LOCK).write_bytes(SHIPPED.read_bytes())
    found = planned(command)
    assert (found["lock"], found["why"]) == ("gpu-2_6_2-cu118", f"of this project: {here / PROJECT_LOCK}")
    assert planned(command, "--paddle", "<3", "--build", "cu118")["lock"] == "gpu-2_6_2-cu118"
    assert planned(command, "--device", "cpu")["lock"] == "cpu-3_3_1"  # a rehearsal
    assert planned(command, "--lock", "cpu-3_0_0")["lock"] == "cpu-3_0_0"
    said = command("plan", "--paddle", "3.3.1")
    assert said.code == 2
    assert said.err == (
        f"error: {here / PROJECT_LOCK} holds Paddle 2.6.2, but --paddle 3.3.1 was asked for\n"
        "next:  to move on: paddle-bootstrap lock --upgrade --paddle 3.3.1\n"
    )


def wish(folder: Path, *mirrors: str) -> Wish:
    return Wish(folder / "env", folder / "store", {}, Path("/"), folder, python="3.11", mirrors=mirrors)


def test_what_the_host_decided_is_kept(tmp_path: Path) -> None:
    free = Choice("", pylock.read(SHIPPED), is_free=True)
    for choice in (None, replace(free, is_free=False), replace(free, lock=None)):
        choosing.keep(wish(tmp_path), choice)
        assert not (tmp_path / PROJECT_LOCK).exists()
    choosing.keep(wish(tmp_path), free)
    assert (tmp_path / PROJECT_LOCK).read_bytes() == SHIPPED.read_bytes()
    choosing.keep(wish(tmp_path / "gone"), free)  # told, and no reason to fail


HAS = ("paddlepaddle_gpu-3.2.0-cp311-cp311-linux_x86_64.whl", "paddlepaddle_gpu-3.2.2-cp312-cp312-linux_x86_64.whl")


def test_12_names_the_newest_that_is_served(tmp_path: Path) -> None:
    judged = judge_all(with_gpus("470.256.02", "Tesla T4", (7, 5)), Wanted())
    choice = Choice("", None, judged[0].release, judged=judged)
    failed = NoMirrorServes("no mirror could serve it", hint="check the network")
    with FakeMirror(dict.fromkeys(HAS, b"wheel")) as mirror:
        told = choosing.told_what_is_served(wish(tmp_path, mirror.url), choice, "3.11", failed)
    assert told.hint == "3.2.0 cu118 fits this host too and is served: give --allow-older"
    with FakeMirror({}) as mirror:
        assert choosing.told_what_is_served(wish(tmp_path, mirror.url), choice, "3.11", failed) is failed


def test_allow_older_takes_it(command: Command, on: On) -> None:
    on(FakeHost(driver="470.256.02", gpus=(FakeGpu("Tesla T4", "7.5"),)))
    with FakeMirror(dict.fromkeys(HAS, b"wheel")) as mirror:
        words = ("--mirror", mirror.url, "--python", "3.11")
        assert planned(command, *words)["chosen"] == "3.3.1 cu118"
        found = planned(command, *words, "--allow-older")
    assert found["chosen"] == "3.2.0 cu118"
    assert found["why"] == "the newest that is served of those that fits this host"


def test_offline_composes_nothing(command: Command, on: On, here: Path) -> None:
    on(FakeHost(driver="470.256.02", gpus=(FakeGpu("Tesla T4", "7.5"),)))
    words = ("fetch", "--offline", "--store", "store", "--python", "3.11")
    said = command(*words)
    assert said.code == 12
    assert said.err == (
        "error: 3.3.1 cu118 has no lock yet, and composing one asks Paddle's hosts: not with --offline\n"
        "next:  2.6.2 cu118 fits this host too and its lock is shipped: give --allow-older\n"
    )
    said = command(*words, "--allow-older")
    assert "paddlepaddle_gpu-2.6.2-cp311" in said.err  # which the store lacks
    assert not (here / PROJECT_LOCK).exists()  # nothing was fetched, so nothing is kept
