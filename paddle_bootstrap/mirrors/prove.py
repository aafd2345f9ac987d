"""Lets the real pip and the real uv fetch through the setting that was written for them.

Only they can tell whether they read the file, reach the mirror and trust its certificate. One package of 11 kB that every
index of PyPI has is fetched into a temporary folder; no environment is touched and no cache is read.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from paddle_bootstrap import progress
from paddle_bootstrap.errors import MirrorNotUsed
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.mirrors.uv_toml import with_explicit_index

PACKAGE = "six"
SECONDS = 60.0  # for one tool
_LINES = 8  # of what a tool said
_PIP = ("--no-cache-dir", "--no-input", "--disable-pip-version-check", "--timeout", "10", "--retries", "1")
_PIP_WHEEL = ("--only-binary", PACKAGE)  # else a user's no-binary would have it built
_UV = ("--no-deps", "--no-cache", "--quiet", "--python", sys.executable)


def prove(
    tool: str, mirror: Mirror, address: str, packages: Sequence[str], environ: Mapping[str, str], cwd: Path
) -> None:
    """Raises MirrorNotUsed with what the tool said. A host without pip is told that nothing was proved for it."""
    with tempfile.TemporaryDirectory(prefix="paddle-bootstrap-") as folder:
        if packages:
            _prove_packages(mirror, address, packages, environ, Path(folder))
        elif mirror.holds == "python":
            _prove_python(mirror, address, environ, cwd)
        elif tool == "pip":
            _prove_pip(mirror, address, environ, cwd, Path(folder))
        else:
            _prove_uv(mirror, environ, cwd, Path(folder))


def _prove_pip(mirror: Mirror, address: str, environ: Mapping[str, str], cwd: Path, folder: Path) -> None:
    command = shutil.which("pip", path=environ.get("PATH")) or shutil.which("pip3", path=environ.get("PATH"))
    if command is None:
        progress.warn("there is no pip on PATH: its setting is written, but nothing proves it")
        return
    if _run("pip", [command, "config", "get", "global.index-url"], mirror, environ, cwd).strip() != address:
        raise MirrorNotUsed(
            f"{command} would not use {mirror.name}: a settings file of its own installation wins",
            hint=f"{command} config debug shows which; the old settings are back",
        )
    # Other places could hide that this one is dead: an empty folder takes the place of them all.
    (folder / "empty" / PACKAGE).mkdir(parents=True)
    alone = {"PIP_FIND_LINKS": str(folder / "empty"), "PIP_EXTRA_INDEX_URL": (folder / "empty").as_uri()}
    words = [command, "download", "--no-deps", "--dest", str(folder), *_PIP, *_PIP_WHEEL, PACKAGE]
    _run("pip", words, mirror, {**environ, **alone}, cwd)


def _prove_uv(mirror: Mirror, environ: Mapping[str, str], cwd: Path, folder: Path) -> None:
    # All indexes are asked, so that another one cannot hide that this one is dead.
    words = [
        "pip",
        "install",
        "--target",
        str(folder / "target"),
        *_UV,
        "--index-strategy",
        "unsafe-best-match",
        PACKAGE,
    ]
    _run("uv", [_uv(environ), *words], mirror, environ, cwd)


def _prove_packages(
    mirror: Mirror, address: str, packages: Sequence[str], environ: Mapping[str, str], folder: Path
) -> None:
    project = f'[project]\nname = "proof"\nversion = "0"\ndependencies = {json.dumps(list(packages))}\n'
    (folder / "pyproject.toml").write_text(with_explicit_index(project, ["proof"], address, packages, owned=True))
    _run("uv", [_uv(environ), "pip", "compile", "pyproject.toml", *_UV], mirror, environ, folder)


def _prove_python(mirror: Mirror, address: str, environ: Mapping[str, str], cwd: Path) -> None:
    """An interpreter is 30 MB: uv is asked only where it would fetch one from."""
    said = _run(
        "uv", [_uv(environ), "python", "list", "--only-downloads", "--output-format", "json"], mirror, environ, cwd
    )
    if not any(str(row.get("url")).startswith(address.rstrip("/") + "/") for row in json.loads(said)):
        raise MirrorNotUsed(f"uv would not fetch interpreters from {mirror.name}; the old settings are back")


def _uv(environ: Mapping[str, str]) -> str:
    return shutil.which("uv", path=environ.get("PATH")) or uv.find_uv_bin()


def _run(tool: str, command: Sequence[str], mirror: Mirror, environ: Mapping[str, str], cwd: Path) -> str:
    shown = f"{tool} {' '.join(command[1:3])}"
    progress.note(f"proving with {shown}")
    terms = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1"}
    terms |= {"PIP_REQUIRE_HASHES": "0", "UV_REQUIRE_HASHES": "0"}  # the user's hashes are not of this package
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**environ, **terms},
            cwd=cwd,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MirrorNotUsed(
            f"{tool} did not end within {SECONDS:.0f} s with {mirror.name}; the old settings are back"
        ) from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_LINES:]
        text = redact("\n".join(said))
        raise MirrorNotUsed(
            f"{tool} could not fetch through {mirror.name}; the old settings are back",
            hint="paddle-bootstrap mirror rank shows which mirrors serve; --no-check writes without the proof",
            tried=(mirror.login.hidden(text) if mirror.login else text).splitlines(),
        )
    return done.stdout
