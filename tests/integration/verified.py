"""``verify`` through the command line, in this process, on described hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.cli import run
from tests.fakes.host import DESCRIBED, FakeHost


@dataclass(frozen=True)
class Verified:
    """What one ``verify`` said."""

    code: int
    out: str
    err: str
    told: Mapping[str, Any]  # results.json

    def check(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(check for check in self.told["checks"] if check["id"] == name)
        return found

    def findings(self) -> dict[str, str]:
        """What is not as it should be: failures, warnings, and skips that nothing excuses."""
        return {
            check["id"]: check["outcome"]
            for check in self.told["checks"]
            if check["outcome"] != "passed" and (check["outcome"] != "skipped" or check["required"])
        }

    def words(self) -> str:
        """What was shown, without the breaks of its lines."""
        return " ".join(self.out.split())


class Desk:
    """A working directory on a host."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._said = folder, monkeypatch, said
        (folder / "home").mkdir(parents=True)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", str(folder / "home"))

    def on(self, host: FakeHost | str, *faults: tuple[str, str]) -> Desk:
        """From now on this is that host; a text is the name of a described one."""
        fake = FakeHost.from_file(DESCRIBED / f"{host}.toml") if isinstance(host, str) else host
        for key, value in faults:
            fake = fake.with_fault(key, value)
        place = self.folder / "host"
        place.mkdir()
        for name, value in fake.write(place).items():
            self._patch.setenv(name, value)
        return self

    def settings(self, text: str) -> None:
        (self.folder / "paddle-bootstrap.toml").write_text(text)

    def verify(self, *words: str | Path) -> Verified:
        results = self.folder / "r.json"
        results.unlink(missing_ok=True)
        self._said.readouterr()
        code = run(["verify", "--results", str(results), *map(str, words)])
        out, err = self._said.readouterr()
        return Verified(code, out, err, json.loads(results.read_text()) if results.exists() else {})


Judge = Callable[..., Verified]
