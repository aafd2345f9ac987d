"""What is judged, and one folder of checks at work on it: what the plugin and the fixtures share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_bootstrap.harness.channel import WorkloadBroken
from paddle_bootstrap.harness.devices import device_of, devices, family
from paddle_bootstrap.harness.pool import Pool, Seat, begin
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build, Device, Wheel
from paddle_bootstrap.results.model import CheckResult, Level

if TYPE_CHECKING:  # pytest is imported after the worker has been started
    import pytest

HERE = Path(__file__).parent
TEXT = 8192  # characters kept of what pytest says


@dataclass(frozen=True)
class Subject:
    """What is judged. ``env`` None: the host alone, before there is a target."""

    env: Path | None
    python: Path | None
    device: Device
    build: Build | None
    wheels: tuple[Wheel, ...] = ()
    receipt: Mapping[str, Any] | None = None


@dataclass
class Session:
    """One folder of checks: what the plugin and the fixtures share."""

    subject: Subject
    facts: Callable[[], HostFacts]
    level: Level
    preflight: bool
    pool: Pool | None
    on_result: Callable[[CheckResult], None]
    folder: Path
    meant: dict[str, set[int]] = field(default_factory=dict)  # a check -> the GPUs it was chosen for
    _under_way: dict[str, dict[int, Future[Any]]] = field(default_factory=dict)  # a call -> GPU index -> its answer

    def calls(self, item: pytest.Item, used: set[Seat]) -> Callable[..., Any]:
        """How ``item`` reaches workloads: those beside it first, then its folder's, then those that come with the tool.

        The seats whose workers it uses are added to ``used``.
        """
        places = (item.path.parent, self.folder, built_in_checks())
        folders = tuple(dict.fromkeys(place / "workloads" for place in places))
        own = getattr(device_of(item), "index", None)
        made = 0

        def call(workload: str, device: int | str | None, deadline: float, arguments: Mapping[str, Any]) -> Any:
            nonlocal made
            made += 1
            if self.pool is None:
                raise WorkloadBroken(f"{workload}: there is no target yet, and so nothing to run it in", {})
            if not isinstance(device, int):
                used.add(None)
                placed = {"device": device, **arguments} if device else arguments
                return self.pool.call(None, workload, folders, placed, deadline)
            used.add(self._seat(device))
            if device != own:
                return self._begin({device}, workload, folders, deadline, arguments)[device].result()
            key = json.dumps([family(item), made, workload, arguments], sort_keys=True, default=str)
            if device not in self._under_way.get(key, {}):  # the first GPU's item begins it on all at once
                meant = self.meant.get(family(item), set()) | {device}
                self._under_way[key] = self._begin(meant, workload, folders, deadline, arguments)
            return self._under_way[key].pop(device).result()

        return call

    def _seat(self, index: int) -> Seat:
        """Calls that name no GPU share the first GPU's worker: one import of Paddle less."""
        first = next((device.index for device in devices(self.facts())), None)
        return None if index == first else index

    def _begin(
        self,
        indices: set[int],
        workload: str,
        folders: Sequence[Path],
        deadline: float,
        arguments: Mapping[str, Any],
    ) -> dict[int, Future[Any]]:
        """Begin the call on each of these GPUs, in the worker of each."""
        assert self.pool is not None
        ordinals = {device.index: device.ordinal for device in devices(self.facts())}
        if unknown := indices - ordinals.keys():
            raise WorkloadBroken(f"{workload}: there is no GPU {min(unknown)} among {sorted(ordinals)}", {})
        return {
            index: begin(
                self.pool.call,
                self._seat(index),
                workload,
                folders,
                {"device": ordinals[index], **arguments},
                deadline,
            )
            for index in sorted(indices)
        }

    def evidence(self, seats: set[Seat]) -> dict[str, str]:
        """What the workers of ``seats`` have written."""
        pool = self.pool
        return {name: text for seat in seats if pool for name, text in pool.evidence(seat).items()}

    def discard(self, seats: set[Seat]) -> None:
        """A check failed that used these: CUDA errors stick, so the next call gets a fresh worker."""
        if pool := self.pool:
            for seat in seats:
                pool.discard(seat)


def built_in_checks() -> Path:
    """The checks that come with the tool: inside the package when installed, beside it in a checkout."""
    package = HERE.parent
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"
