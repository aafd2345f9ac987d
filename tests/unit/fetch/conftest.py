"""A store in tmp_path, an environment without settings, and a fetch that does not wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from paddle_bootstrap import progress
from paddle_bootstrap.fetch.alongside import Compiler
from paddle_bootstrap.fetch.fetch import Fetched, fetch
from paddle_bootstrap.fetch.patience import Patience, Terms
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import Mirror, mirror_at

HASTE = Patience(connect=5.0, read=1.0, retries=2, pause=0.0, progress=1, stall=1.5, join=9.0, hush=0.0, soon=0.0)


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.totals: list[tuple[int, int]] = []
        self.transfers: list[tuple[str, int, int | None]] = []

    def step(self, message: str) -> None:
        self.lines.append(f"step: {message}")

    def note(self, message: str) -> None:
        self.lines.append(f"note: {message}")

    def warn(self, message: str) -> None:
        self.lines.append(f"warn: {message}")

    def transfer(self, name: str, done: int, total: int | None) -> None:
        self.transfers.append((name, done, total))

    def total(self, done: int, total: int) -> None:
        self.totals.append((done, total))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """HOME without netrc, PATH without keyring."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}


Bring = Callable[..., Fetched]


@pytest.fixture
def bring(store: Store, environ: Mapping[str, str], heard: Heard) -> Bring:
    """``bring(wheel, url_or_mirror...)``: the real fetch, in a hurry."""

    def run(
        wheels: Wheel | Sequence[Wheel],
        *places: str | Mirror,
        build: str | None = None,
        patience: Patience = HASTE,
        terms: Terms | None = None,
        unpack: bool = False,
        compiler: Compiler | None = None,
    ) -> Fetched:
        mirrors = [place if isinstance(place, Mirror) else mirror_at(place) for place in places]
        wanted = [wheels] if isinstance(wheels, Wheel) else wheels
        with progress.observed_by(heard):
            return fetch(
                wanted,
                build=build,
                mirrors=mirrors,
                store=store,
                patience=patience,
                terms=terms,
                unpack=unpack,
                environ=environ,
                compiler=compiler,
            )

    return run
