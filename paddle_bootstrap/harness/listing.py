"""Which checks there are: their levels, what they need and what they prove. Nothing is run, and no host is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.harness.devices import NoDevice
from paddle_bootstrap.harness.markers import BadMarker, cost_of, level_of, require_known_markers
from paddle_bootstrap.harness.plugin import Plugin, check_id, position, told
from paddle_bootstrap.harness.readings import Sweeps
from paddle_bootstrap.harness.rounds import Rounds
from paddle_bootstrap.harness.session import in_folder
from paddle_bootstrap.harness.subject import Options, Session, Subject, Trial, built_in_checks
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.results.listed import Listed

NEEDS: Mapping[str, str] = {  # a fixture -> what has to be there for it
    "lock": "lock",
    "gpus": "GPU",
    "device": "each GPU",
    "reading": "NVML",
    "cuda": "CUDA driver",
    "run": "target",
}
ANY_DEVICE = NoDevice("none was looked for", label="")


class Lister(Plugin):
    """Collects everything and runs nothing."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "device" in metafunc.fixturenames:
            metafunc.parametrize("device", [ANY_DEVICE], ids=[ANY_DEVICE.label], indirect=True)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=position)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = tuple(session.items)

    def pytest_runtestloop(self) -> bool:
        return True


def list_checks(folders: Sequence[Path], keyword: str | None) -> tuple[Listed, ...]:
    """Every check in ``folders``, in the order in which they run. Raises UsageError for a file that cannot be read."""
    return tuple(_listed(item) for folder in folders for item in _items(folder, keyword))


def _items(folder: Path, keyword: str | None) -> tuple[pytest.Item, ...]:
    trial = Trial(Subject(None, None, "gpu", None), Options(), _no_facts, {}, lambda _: None, None)
    lister = Lister(Session(trial, folder, Sweeps({}, _no_facts), Rounds({}), ours=folder == built_in_checks()))
    in_folder(lister, keyword)
    if lister.results:
        broken = lister.results[0]
        raise UsageError(f"the checks in {folder} cannot be listed: {broken.summary}", hint=broken.fix or "mend them")
    for item in lister.items:
        _require_known_markers(item, folder)
    return lister.items


def _require_known_markers(item: pytest.Item, folder: Path) -> None:
    try:
        require_known_markers(item)
    except BadMarker as error:
        told = f"the checks in {folder} cannot be listed: {check_id(item)}: {error}"
        raise UsageError(told, hint=f"mend {item.path}") from error


def _no_facts() -> HostFacts:
    raise AssertionError("a list of the checks asked for the host's facts")


def _listed(item: pytest.Item) -> Listed:
    names, cost = getattr(item, "fixturenames", ()), cost_of(item)
    hidden = {"gpus"} if "device" in names else set()  # each of them is more than all of them
    needs = tuple(text for name, text in NEEDS.items() if name in names and name not in hidden) or ("host",)
    name = check_id(item).removesuffix("[]")
    return Listed(name, level_of(item), cost.priority, cost.seconds, cost.per_gpu, needs, told(item)[0])
