"""uv makes environments and installs verified files, with the user's own uv, pip and Python settings kept out."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.lock.model import Wheel

_KEPT_OUT = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")


def make_environment(path: Path, python: str, environ: Mapping[str, str]) -> None:
    """A new virtual environment at ``path`` of the interpreter ``python``."""
    _run(["venv", "--no-project", "--python", python, str(path)], environ, Path(os.devnull))


def install(
    wheels: Sequence[Wheel],
    files: Mapping[str, Path],
    environment: Path,
    cache: Path,
    environ: Mapping[str, str],
    *,
    copies: bool,
    again: Sequence[str] = (),
) -> None:
    """Install ``wheels`` from ``files``, offline, each with its hash. ``again``: reinstall these names.

    uv keeps what it unpacked under the folder that a file was found in, so each file is offered where it lies in the store:
    a passing folder would be unpacked anew by every run, 6 GB that nobody finds again. ``copies``: no links into the
    cache, for files that will get another owner.
    """
    command = ["pip", "install", "--offline", "--no-index", "--require-hashes", "--no-deps", "--no-build"]
    command += ["--compile-bytecode", "--python", str(environment / "bin" / "python")]
    command += [f"--find-links={files[wheel.filename].absolute().parent.as_uri()}" for wheel in wheels]
    command += ["--link-mode", "copy"] if copies else []
    command += [f"--reinstall-package={name}" for name in again]
    with tempfile.NamedTemporaryFile("w", prefix="paddle-bootstrap-", suffix=".txt", encoding="utf-8") as requirements:
        requirements.writelines(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)
        requirements.flush()
        _run([*command, "--requirements", requirements.name], environ, cache)


def uninstall(names: Sequence[str], environment: Path, cache: Path, environ: Mapping[str, str]) -> None:
    """Take ``names`` out of the environment."""
    _run(["pip", "uninstall", "--python", str(environment / "bin" / "python"), *names], environ, cache)


def _run(command: Sequence[str], environ: Mapping[str, str], cache: Path) -> None:
    kept = {name: value for name, value in environ.items() if not name.startswith(_KEPT_OUT)}
    own = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    own = own if cache != Path(os.devnull) else {**own, "UV_NO_CACHE": "1", "UV_CACHE_DIR": ""}
    own = {name: value for name, value in own.items() if value}
    done = subprocess.run(
        [find_uv_bin(), "--quiet", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**kept, **own},
        check=False,
    )
    if done.returncode == 0:
        return
    told = done.stderr.strip()[-2000:]
    if "No space left" in told or "os error 28" in told or "os error 122" in told:
        raise NoSpace(f"no room left while installing: {told}", hint="free some space; the target is as it was")
    raise InstallFailed(
        f"uv {command[0]} {command[1]} failed: {told}", hint="the target is as it was; see the lines above"
    )
