"""Builds and their reasons, as lines of text and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle_bootstrap.host.facts import Gpu, HostFacts
from paddle_bootstrap.releases.model import Release
from paddle_bootstrap.releases.select import Judged, driver

_WIDTH = 15  # characters of the longest build's name: "2.5.2 post120"


def host_line(facts: HostFacts) -> str:
    """What of the host decides on a build."""
    version = driver(facts)
    gpus = facts.gpus if isinstance(facts.gpus, tuple) else ()
    named = [_model(gpu) for gpu in gpus]
    parts = [f"driver {version}" if version else "no NVIDIA driver"]
    parts += [f"{named.count(name)} x {name}" for name in dict.fromkeys(named)] or ["no GPU"]
    parts += [f"{what} {has}" for what, has in (("glibc", facts.glibc), ("GLIBCXX", facts.glibcxx)) if has]
    return ", ".join(parts)


def _model(gpu: Gpu) -> str:
    capability = gpu.compute_capability
    told = ".".join(map(str, capability)) if isinstance(capability, tuple) else "compute capability unknown"
    return f"{gpu.name if isinstance(gpu.name, str) else 'GPU'} ({told})"


def table(judged: Sequence[Judged]) -> list[str]:
    """Every build in a line: those that fit, the best first, then why each other one does not."""
    lines = []
    for number, each in enumerate(judged):
        told = ("the choice" if number == 0 else "fits", *each.warnings) if each.fits else each.excluded
        lines.append(f"{'+' if each.fits else '-'} {each.release.id:{_WIDTH}} {'; '.join(told)}")
    return lines


def as_data(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """For programs: the same as ``table``."""
    return [
        {**identity(each.release), "fits": each.fits, "excluded": list(each.excluded), "warnings": list(each.warnings)}
        for each in judged
    ]


def identity(release: Release) -> dict[str, Any]:
    """What a build is called, and where it is served."""
    return {"package": release.package, "version": release.version, "build": release.build, "served": release.served}
