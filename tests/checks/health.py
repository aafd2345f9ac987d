"""Described hosts, what is broken on them, and what the quick checks say of each: judged once, whoever asks."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from paddle_bootstrap.harness.plugin import Plugin
from paddle_bootstrap.harness.readings import Sweeps
from paddle_bootstrap.harness.rounds import Rounds
from paddle_bootstrap.harness.session import in_folder
from paddle_bootstrap.harness.subject import Options, Session, Subject, Trial, built_in_checks
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import seen
from tests.fakes.host import FakeHost

FAKES = Path(__file__).parents[1] / "fakes"
DESCRIBED = FAKES / "described"
FAULTS = FAKES / "faults.tsv"
Faults = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Row:
    """One fault: on which host, what is changed there, and exactly what is found then."""

    line: int
    host: str
    faults: Faults
    findings: Mapping[str, str]  # id -> outcome
    words: tuple[str, ...]  # in the first finding

    @property
    def name(self) -> str:
        return f"{self.line}: {self.host}: {'; '.join(f'{key}={value}' for key, value in self.faults)}"

    @property
    def card(self) -> str | None:
        """The one GPU that this is about: "gpu3"."""
        cards = {key.partition(".")[0] for key, _ in self.faults}
        card = cards.pop() if len(cards) == 1 else ""
        own = card.startswith("gpu") and all(name.endswith(f"[{card}]") for name in self.findings)
        return card if own else None

    @property
    def hangs(self) -> bool:
        return any(value.startswith("~") for _, value in self.faults)


@dataclass(frozen=True)
class Judgement:
    """What the quick checks of the host said, and of what."""

    facts: HostFacts
    sweeps: Sweeps
    results: Mapping[str, CheckResult]


@cache
def rows() -> tuple[Row, ...]:
    """``faults.tsv``: host, key=value; ..., id outcome; ..., words | ..."""
    found = []
    with FAULTS.open(encoding="utf-8", newline="") as file:
        for number, cells in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if cells and not cells[0].startswith("#"):
                found.append(_row(number, *cells))
    return tuple(found)


def _row(line: int, host: str, faults: str, findings: str, words: str) -> Row:
    pairs = (part.strip().partition("=") for part in faults.split(";"))
    found = dict(part.split() for part in findings.split(";"))
    return Row(
        line, host, tuple((key, value) for key, _, value in pairs), found, tuple(map(str.strip, words.split("|")))
    )


@cache
def batches() -> Mapping[Row, tuple[Row, ...]]:
    """Each row, and those that are judged in one go with it: each about another card of the same host."""
    found: list[list[Row]] = []
    for row in rows():
        fits = (batch for batch in found if row.card and all(joins(row, other) for other in batch))
        batch = next(fits, None)
        if batch is None:
            found.append([row])
        else:
            batch.append(row)
    return {row: tuple(batch) for batch in found for row in batch}


def joins(row: Row, other: Row) -> bool:
    """Those that hang wait together; the others do not wait for them."""
    alike = (row.host, row.hangs) == (other.host, other.hangs)
    return alike and other.card is not None and row.card != other.card


def faults_of(batch: tuple[Row, ...]) -> Faults:
    return tuple(fault for row in batch for fault in row.faults)


def described() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DESCRIBED.glob("*.toml")))


class Judge:
    """The quick checks on a described host, with faults or without: each judged once, whoever asks."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._checks = quick_checks(folders.mktemp("checks"))
        self._judged: dict[tuple[str, Faults], Judgement] = {}

    def __call__(self, host: str, faults: Faults = ()) -> Judgement:
        if (host, faults) not in self._judged:
            fake = FakeHost.from_file(DESCRIBED / f"{host}.toml")
            for key, value in faults:
                fake = fake.with_fault(key, value)
            self._judged[host, faults] = self._judge(fake, self._folders.mktemp(host))
        return self._judged[host, faults]

    def _judge(self, fake: FakeHost, folder: Path) -> Judgement:
        facts, environ = seen(fake, folder)
        sweeps = Sweeps(environ, lambda: facts)
        subject, options = Subject(None, None, "gpu", None), Options(host_only=True)
        trial = Trial(subject, options, lambda: facts, environ, lambda _: None, None)
        plugin = Plugin(Session(trial, self._checks, sweeps, Rounds(environ), ours=True))
        in_folder(plugin, None)
        return Judgement(facts, sweeps, {result.id: result for result in plugin.results})


def quick_checks(folder: Path) -> Path:
    """The files with quick checks, and all data: a host is judged in half the time without the others."""
    for file in built_in_checks().iterdir():
        if file.suffix == ".toml" or (file.suffix == ".py" and 'level("quick"' in file.read_text(encoding="utf-8")):
            shutil.copy(file, folder)
    return folder


def findings(results: Mapping[str, CheckResult]) -> dict[str, str]:
    """What is not as it should be: failures, warnings, and skips that nothing excuses."""
    return {
        name: result.outcome
        for name, result in results.items()
        if result.outcome != "passed" and (result.outcome != "skipped" or result.required)
    }
