"""uv makes environments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uv import find_uv_bin

from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.install import child


def make_environment(path: Path, python: str, environ: Mapping[str, str]) -> None:
    """A new virtual environment of the interpreter ``python``; ``path`` is missing or an empty directory."""
    command = ["venv", "--no-project", "--no-cache", "--allow-existing", "--python", python, str(path)]
    own = {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    with child.start([find_uv_bin(), "--quiet", *command], {**child.environment(environ), **own}) as process:
        try:
            told = process.communicate()[1].strip()[-2000:]
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return
    if any(sign in told for sign in ("No space left", "os error 28", "os error 122")):
        raise NoSpace(f"no room left while making {path}: {told}", hint="free some space and run the command again")
    raise InstallFailed(f"uv venv failed: {told or f'exit code {process.returncode}'}")
