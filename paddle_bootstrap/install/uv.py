"""uv makes environments and installs verified files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.install import child
from paddle_bootstrap.lock.model import Wheel


def make_environment(path: Path, python: str, cache: Path, environ: Mapping[str, str]) -> None:
    """A new virtual environment of the interpreter ``python``; ``path`` is missing or an empty directory."""
    _run(["venv", "--no-project", "--allow-existing", "--python", python, str(path)], cache, environ)


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
    """Install ``wheels`` from ``files`` (file name -> path), offline, each with its hash. ``again``: reinstall these names.

    ``copies``: no links into the cache, for files that will get another owner. Bytecode is not compiled here: it would name
    the clone's paths in every traceback.
    """
    # uv files what it unpacks under the address of the folder: a temporary one would be unpacked again each time
    folders = dict.fromkeys(str(files[wheel.filename].parent.absolute()) for wheel in wheels)
    command = ["pip", "install", "--offline", "--no-index", "--no-deps", "--no-build", "--require-hashes"]
    command += [word for folder in folders for word in ("--find-links", folder)]
    command += ["--python", str(environment / "bin" / "python"), *(["--link-mode", "copy"] if copies else [])]
    command += [f"--reinstall-package={name}" for name in again]
    pins = "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)
    _run([*command, "--requirements", "-"], cache, environ, pins)


def uninstall(names: Sequence[str], environment: Path, cache: Path, environ: Mapping[str, str]) -> None:
    """Take ``names`` out of the environment."""
    _run(["pip", "uninstall", "--python", str(environment / "bin" / "python"), *names], cache, environ)


def forget(names: Sequence[str], cache: Path, environ: Mapping[str, str]) -> None:
    """Drop the unpacked copies of ``names``. What is linked to them elsewhere stays."""
    _run(["cache", "clean", *names], cache, environ)


def _run(command: Sequence[str], cache: Path, environ: Mapping[str, str], text: str = "") -> None:
    own = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    with child.start([find_uv_bin(), "--quiet", *command], {**child.environment(environ), **own}) as process:
        try:
            told = process.communicate(text)[1].strip()[-2000:]
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return
    if any(sign in told for sign in ("No space left", "os error 28", "os error 122")):
        raise NoSpace(f"no room left while installing: {told}", hint="free some space and run the command again")
    what = command[0] if command[0] == "venv" else " ".join(command[:2])
    raise InstallFailed(f"uv {what} failed: {told or f'exit code {process.returncode}'}")
