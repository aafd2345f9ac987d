"""Healthy hosts under load, by the driver alone: nothing fails there, and nothing is warned of but what is listed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.harness.plugin import Plugin
from paddle_bootstrap.harness.readings import Sweeps
from paddle_bootstrap.harness.rounds import Rounds
from paddle_bootstrap.harness.session import in_folder
from paddle_bootstrap.harness.subject import Options, Session, Subject, Trial, built_in_checks
from tests.checks.health import DESCRIBED, findings
from tests.checks.judging import seen
from tests.fakes.host import FakeHost

LOADS = ("copy", "compute", "words", "counters")
SHORT = {"link_seconds = 1.5": "link_seconds = 0.8", "rounds = 65536": "rounds = 512"}  # cards of the CPU's are slow
UNKNOWN = "no baseline for copy_"
# Host -> id -> words. One whose links sleep, one whose cards do not reach each other, a part of a host, a part of a card.
WARNED: dict[str, dict[str, str]] = {
    "h100-pcie-x2-idle": {},
    "4090-x4": {},
    "container-2-of-8": {"counters.xid": "whether an Xid came during the checks is not known"},
    "vgpu-a40": {"copy.device[gpu0]": UNKNOWN, "copy.host[gpu0]": UNKNOWN},
}


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files with loads of the driver's, and all data."""
    folder = tmp_path_factory.mktemp("checks")
    for name in (*(f"check_{name}.py" for name in LOADS), *(file.name for file in built_in_checks().glob("*.toml"))):
        shutil.copy(built_in_checks() / name, folder)
    text = (folder / "limits.toml").read_text()
    for old, new in SHORT.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "limits.toml").write_text(text)
    return folder


@pytest.mark.parametrize("host", WARNED)
def test_a_healthy_host_works_well(host: str, checks: Path, tmp_path: Path) -> None:
    fake = FakeHost.from_file(DESCRIBED / f"{host}.toml")
    facts, environ = seen(replace(fake, gpus=fake.gpus[:2]), tmp_path)  # two cards have all that four have
    trial = Trial(
        Subject(None, None, "gpu", None),
        Options(host_only=True, level="standard"),
        lambda: facts,
        environ,
        lambda _: None,
        None,
    )
    plugin = Plugin(Session(trial, checks, Sweeps(environ, lambda: facts), Rounds(environ)))
    try:
        in_folder(plugin, None)
    finally:
        trial.bare.close()
    results = {result.id: result for result in plugin.results}
    said = {name: results[name].summary for name in findings(results)}
    assert {name: results[name].outcome for name in said} == dict.fromkeys(WARNED[host], "warned"), said
    for name, words in WARNED[host].items():
        assert words in said[name]
    assert any(name.startswith("words.pattern") and result.outcome == "passed" for name, result in results.items())
