"""A user's home, in which pip and uv have been configured by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TOOL = Path(sys.executable).parent  # holds pip

PIP_BY_HAND = "# set by hand\n[global]\ntimeout = 7\nindex_url =\n    https://old.invalid/simple\n; end\n"
UV_BY_HAND = """\
# set by hand
link-mode = 'copy'  # here too

[[index]]
name = 'old'
url = 'https://old.invalid/simple'
default = true
"""


class Desk:
    """A user's home, with pip and uv configured by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.pip = self.write("home/.config/pip/pip.conf", PIP_BY_HAND)
        self.uv = self.write("home/.config/uv/uv.toml", UV_BY_HAND)
        self.environ = {
            "HOME": str(folder / "home"),
            "PATH": f"{TOOL}:/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def run(self, *command: str | Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**self.environ, **(environ or {})},
            cwd=self.cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def mirror(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "paddle_bootstrap", "mirror", *words, environ=environ)

    def settings(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the user's settings and project, with its permissions."""
        return {
            str(path): (path.stat().st_mode, path.read_bytes())
            for top in ("home/.config", "work")
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file()
        }
