"""The whole way of a 3.x build on loopback: select, lock, fetch, install, verify; rejected, for the wheel is a CPU build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from paddle_bootstrap.lock import pylock
from tests.fakes.host import H100, FakeHost
from tests.fakes.lock_desk import NAME, NVTX, Desk
from tests.unit.lock.gpu_wheel import wheel
from tests.unit.lock.small_index import File

COMMAND = ("up", "--python", sys.executable, "--mirror", "paddle-bj", "--mirror", "official")
HOST = FakeHost(gpus=(H100,), driver="550.54.15")


def test_a_host_gets_its_build_and_the_wheel_is_judged_by_its_bytes(desk: Desk, tmp_path: Path) -> None:
    """Nothing but the host's facts is told: no version, no build."""
    for filename, module in (("numpy-2.2.6-py3-none-any.whl", "numpy"), (NVTX, "nvidia/nvtx")):
        name, version = filename.split("-")[:2]
        data = wheel(name.replace("_", "-"), version, {f"{module}/__init__.py": ""})
        desk.pypi.files[filename] = File(filename, data=data)
    name, version = "setuptools", "75.8.0"
    file = f"{name}-{version}-py3-none-any.whl"
    desk.pypi.files[file] = File(file, data=wheel(name, version, {"setuptools/__init__.py": ""}))
    told = tmp_path / "results.json"
    (tmp_path / "host").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "paddle_bootstrap", *COMMAND, "--results", str(told)],
        cwd=desk.folder,
        env={**os.environ, **HOST.write(tmp_path / "host")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "may this host run gpu-3_3_1-cu126? (the newest that fits this host)" in said
    assert f"digests {NAME}: first use, from paddle-cdn" in " ".join(said.split())
    lock = pylock.read(desk.written)
    assert [row.file for row in lock.first_use] == [NAME]
    results = json.loads(told.read_text())
    assert results["stage"] == "verify"
    assert results["lock"]["build"]["id"] == "gpu-3_3_1-cu126"
    assert results["lock"]["first_use"][0].startswith(f"{NAME}: first use")
    checks = {check["id"]: check for check in results["checks"]}
    judged = checks["architecture.machine_code[gpu0]"]
    assert judged["outcome"] == "failed"
    assert judged["summary"] == "this is a CPU build: Paddle's libraries hold no device code"
    assert checks["install.packages"]["outcome"] == "passed"
    site = next((desk.folder / ".venv-paddle").glob("lib/python3*/site-packages"))
    assert (site / "nvidia" / "nvtx" / "__init__.py").exists()
