"""How each tool is told to bring one wheel into a fresh environment: commands, nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.scenarios import ARIA2, FETCH, OURS, PIP, PLAIN, TUNED, UV, UV_COMPILED
from bench.servers import Running
from bench.wheels import RealWheel

UV_PROGRAM = str(Path(sys.executable).with_name("uv"))
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")  # of the caller's environment; its pip and uv settings are not measured


@dataclass(frozen=True)
class Job:
    """One wheel, wanted from ``mirrors`` in this order, into a folder of its own."""

    wheel: RealWheel
    mirrors: Sequence[Running]
    python: str  # path
    folder: Path  # everything is below it, so that deleting it makes every cache cold
    connections: int | None
    certificate: Path | None
    target: str = "venv"

    @property
    def venv(self) -> Path:
        return self.folder / self.target

    @property
    def file(self) -> Path:
        """Where aria2c puts the wheel."""
        return self.folder / "wheels" / self.wheel.wheel.filename

    def environ(self) -> dict[str, str]:
        environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        environ |= {"HOME": str(self.folder / "home"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_CONFIG": "1"}
        if self.certificate:
            environ |= {"SSL_CERT_FILE": str(self.certificate), "PIP_CERT": str(self.certificate)}
        return environ


def commands(tool: str, job: Job) -> list[list[str]]:
    """What ``tool`` runs, one after the other."""
    make = [UV_PROGRAM, "venv", "--quiet", "--allow-existing", "--offline", "--python", job.python, str(job.venv)]
    python = str(job.venv / "bin" / "python")
    exact = ["--no-deps", "--require-hashes", "-r", str(job.folder / "requirements.txt")]
    first, *others = [mirror.index for mirror in job.mirrors]
    uv = [UV_PROGRAM, "pip", "install", "--python", python]
    if tool == OURS:
        return [[*_ours("install", job), "--env", str(job.venv)]]
    if tool == PLAIN:
        return [[*_ours("install", job), "--env", str(job.venv), "--no-compile-bytecode"]]
    if tool == FETCH:
        return [_ours("fetch", job)]
    if tool == PIP:
        extra = [word for index in others for word in ("--extra-index-url", index)]
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-input", *exact, "--index-url", first]
        return [make, [*pip, *extra]]
    if tool in (UV, UV_COMPILED):
        *before, last = [first, *others]  # the default index is asked last
        more = ["--compile-bytecode"] if tool == UV_COMPILED else []
        indexes = [*[word for index in before for word in ("--index", index)], "--default-index", last]
        return [make, [*uv, *exact, *indexes, *more]]
    if tool == ARIA2:
        return [_aria2(job, 16)]
    if tool == TUNED:
        tuned = ["--min-split-size=1M", "--connect-timeout=5", "--timeout=10", "--retry-wait=1", "--max-tries=5"]
        tuned += ["--uri-selector=adaptive", "--file-allocation=none", "--auto-save-interval=1"]
        fetch = [*_aria2(job, 16 * len(job.mirrors), *tuned)]
        return [fetch, make, [*uv, "--no-deps", "--no-index", str(job.file)]]
    raise AssertionError(tool)


def _ours(verb: str, job: Job) -> list[str]:
    command = [sys.executable, "-m", "paddle_bootstrap", verb, "--lock", str(job.folder / "pylock.bench.toml")]
    command += ["--store", str(job.folder / "store"), "--python", job.python]
    command += [word for mirror in job.mirrors for word in ("--mirror", mirror.index)]
    return command + (["--connections", str(job.connections)] if job.connections else [])


def _aria2(job: Job, splits: int, *more: str) -> list[str]:
    name = job.wheel.wheel.filename
    most = min(16, job.connections or 16)  # 16 is the most that aria2c takes per server
    splits = min(splits, most * len(job.mirrors))
    command = ["aria2c", "--no-conf", "--continue", "--console-log-level=error", "--summary-interval=0"]
    command += [f"--max-connection-per-server={most}", f"--split={splits}", f"--dir={job.file.parent}", f"--out={name}"]
    command += [f"--checksum=sha-256={job.wheel.wheel.sha256}", *more]
    if job.certificate:
        command.append(f"--ca-certificate={job.certificate}")
    return command + [f"{mirror.root}/files/{name}" for mirror in job.mirrors]


def prepare(job: Job) -> None:
    """What lies there before the clock starts."""
    job.folder.mkdir(parents=True, exist_ok=True)
    job.wheel.lock(job.folder)
    job.wheel.requirements(job.folder)
