"""Runs single files of checks through the real harness: the others need not be imported for each bad host."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from paddle_bootstrap.harness.plugin import Plugin
from paddle_bootstrap.harness.readings import Sweeps
from paddle_bootstrap.harness.rounds import Rounds
from paddle_bootstrap.harness.session import in_folder
from paddle_bootstrap.harness.subject import Options, Session, Subject, Trial, built_in_checks
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from tests.checks.judging import Judged, by_id

_folders: list[tempfile.TemporaryDirectory[str]] = []  # kept until the tests end


@functools.cache
def folder_of(names: tuple[str, ...]) -> Path:
    """A folder with check_NAME.py of each of ``names``, and all the data."""
    _folders.append(tempfile.TemporaryDirectory(prefix="checks-"))
    folder = Path(_folders[-1].name)
    for path in (*built_in_checks().glob("*.toml"), *(built_in_checks() / f"check_{name}.py" for name in names)):
        shutil.copy(path, folder)
    return folder


def alone(
    facts: HostFacts,
    build: Build | None,
    *names: str,
    environ: Mapping[str, str] = os.environ,
    keyword: str | None = None,
) -> Judged:
    """What the files ``names`` say of a host before there is a target."""
    subject = Subject(None, None, build.device if build else "gpu", build)
    trial = Trial(subject, Options(host_only=True), lambda: facts, environ, lambda _: None, None)
    plugin = Plugin(Session(trial, folder_of(names), Sweeps(environ, lambda: facts), Rounds(environ), ours=True))
    in_folder(plugin, keyword)
    return by_id(tuple(plugin.results))
