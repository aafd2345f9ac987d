"""A host's settings of pip and uv, in a folder."""

from __future__ import annotations

from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.mirrors import official
from paddle_bootstrap.mirrors.configured import configured
from paddle_bootstrap.mirrors.model import Mirror


class Warned:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str) -> None:
        self.lines.append(message)

    note = step = warn

    def total(self, done: int, total: int) -> None:
        pass

    def transfer(self, name: str, done: int, total: int | None) -> None:
        raise AssertionError(name, done, total)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Host:
    """A host's settings, under tmp_path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder / "home")}
        self.cwd = folder / "home" / "project"
        self.cwd.mkdir(parents=True)
        self.warned = Warned()

    def write(self, path: str, text: str | bytes) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return target

    def mirrors(self, *wanted: str) -> tuple[Mirror, ...]:
        with progress.observed_by(self.warned):
            return configured(wanted, self.environ, cwd=self.cwd, etc=self.folder / "etc")

    def own(self) -> list[str]:
        """Addresses of the mirrors that stand before the official index."""
        urls = [mirror.url for mirror in self.mirrors()]
        return urls[: urls.index(official.address())]
