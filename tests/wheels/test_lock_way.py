"""The whole way of a 3.x build with a real wheel: the 3.3.1 CPU build from PyPI, named as the cu126 GPU build on a Paddle index
that is rebuilt on loopback, with real NVIDIA wheels as its pins. It installs and imports, and is rejected for what it is."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from paddle_bootstrap.lock import pylock
from tests.fakes.certificate import issued
from tests.fakes.host import H100, FakeHost
from tests.fakes.paddle_index import PaddleIndex
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name

PINS = ("nvidia-nvtx-cu12==12.6.77", "nvidia-cuda-runtime-cu12==12.6.77")
NAME = gpu_name()
OLD, NEW = "paddlepaddle-3.3.1.dist-info/", "paddlepaddle_gpu-3.3.1.dist-info/"

pytestmark = pytest.mark.wheels


def relabelled(wheel: Path, place: Path) -> bytes:
    """The same bytes under another name: only its dist-info is written anew, what lies before stays."""
    shutil.copyfile(wheel, place)
    with zipfile.ZipFile(place, "a") as archive:
        info = {name: archive.read(name) for name in archive.namelist() if name.startswith(OLD)}
        archive.filelist = [item for item in archive.filelist if item.filename not in info]
        archive.NameToInfo = {item.filename: item for item in archive.filelist}
        metadata = info[OLD + "METADATA"].decode().replace("Name: paddlepaddle\n", "Name: paddlepaddle-gpu\n", 1)
        head, blank, rest = metadata.partition("\n\n")
        pins = "".join(f'\nRequires-Dist: {pin}; platform_system == "Linux"' for pin in PINS)
        info[OLD + "METADATA"] = (head + pins + blank + rest).encode()
        rows = list(csv.reader(io.StringIO(info.pop(OLD + "RECORD").decode())))
        kept = [row for row in rows if not row[0].startswith(OLD)]
        for name, data in info.items():
            fresh = name.replace(OLD, NEW)
            archive.writestr(fresh, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            kept.append([fresh, f"sha256={digest}", str(len(data))])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*kept, [NEW + "RECORD", "", ""]])
        archive.writestr(NEW + "RECORD", text.getvalue())
    return place.read_bytes()


def test_a_cpu_build_in_the_gpu_folder_is_found_out(cpu_target: Path, test_store: Path, tmp_path: Path) -> None:
    tag = "cp" + PYTHON.replace(".", "")
    wheel = next(test_store.glob(f"wheels/sha256/*/*/paddlepaddle-3.3.1-{tag}-*.whl"))
    data = relabelled(wheel, tmp_path / NAME)
    for folder in ("certificates", "project", "host"):
        (tmp_path / folder).mkdir()
    server, authority = issued(tmp_path / "certificates")
    around = {**os.environ, **FakeHost(gpus=(H100,), driver="550.54.15").write(tmp_path / "host")}
    command = [
        sys.executable,
        "-m",
        "paddle_bootstrap",
        "up",
        "--python",
        sys.executable,
        "--store",
        str(tmp_path / "store"),
    ]
    command += ["--mirror", "paddle-cdn", "--mirror", "official", "--results", str(tmp_path / "results.json")]
    with PaddleIndex({"cu126": {NAME: data}}, server) as paddle:
        (tmp_path / "project" / "paddle-bootstrap.toml").write_text(paddle.settings(authority))
        done = subprocess.run(
            command, cwd=tmp_path / "project", env=around, capture_output=True, text=True, timeout=600, check=False
        )
        ranges = [asked for _, asked in paddle.origin.sent(NAME)]
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "may this host run gpu-3_3_1-cu126? (the newest that fits this host)" in said
    assert all(asked.startswith("bytes=") for asked in ranges)  # the origin gave its METADATA and its directory
    lock = pylock.read(tmp_path / "project" / "pylock.paddle.toml")
    packages = {package.name: package.version for package in pylock.packages(lock)}
    assert {"nvidia-nvtx-cu12": "12.6.77", "nvidia-cuda-runtime-cu12": "12.6.77"}.items() <= packages.items()
    assert [row.file for row in lock.first_use] == [NAME]
    checks = {check["id"]: check for check in json.loads((tmp_path / "results.json").read_text())["checks"]}
    judged = checks["architecture.machine_code[gpu0]"]
    assert (judged["outcome"], judged["summary"][:24]) == ("failed", "this is a CPU build: Pad")
    assert checks["install.build"]["outcome"] == "failed"  # Paddle itself says that it was not compiled with CUDA
    assert checks["install.packages"]["outcome"] == "passed"
    site = next((tmp_path / "project" / ".venv-paddle").glob("lib/python3*/site-packages"))
    assert list(site.glob("nvidia/cuda_runtime/lib/libcudart.so*"))
