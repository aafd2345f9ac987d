"""What a build is asked for, in the words of the command line."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.releases.model import Device, Release

AUTO = "auto"


@dataclass(frozen=True)
class Wanted:
    """A wish for a build. Raises UsageError for a ``paddle`` that is neither a version nor a range."""

    paddle: str = AUTO  # or a version, or a range: ">=3.1,<3.3"
    build: str | None = None  # "cu126"; naming one takes it whatever is not known of it
    device: Device = "gpu"
    python: str | None = None  # the target's ("3.11"), where it is not ours to choose
    anywhere: bool = False  # not for this host: its driver and its GPUs are not asked

    def __post_init__(self) -> None:
        try:
            _range(self.paddle)
        except (InvalidSpecifier, InvalidVersion) as error:
            raise UsageError(
                f"--paddle {self.paddle!r} is neither auto, nor a version, nor a range of versions",
                hint="write --paddle auto, --paddle 3.3.1 or --paddle '>=3.1,<3.3'",
            ) from error

    @property
    def is_exact(self) -> bool:
        """One version is named; a pre-release is then meant as written."""
        return self.paddle[:1].isdigit()

    @property
    def is_open(self) -> bool:
        """Nothing is asked for: the host decides."""
        return self.paddle == AUTO and self.build is None

    def takes(self, release: Release) -> bool:
        """Whether ``release`` is of a version and a build that was asked for."""
        versions = (release.public, release.version)
        return any(map(self.takes_version, versions)) and self.build in (None, *release.names)

    def takes_version(self, version: str) -> bool:
        """Whether ``version`` is one that was asked for."""
        return _holds(self.paddle, version)

    def __str__(self) -> str:
        """As flags."""
        told = [f"--paddle {self.paddle}" if self.paddle[:1] not in "<>=!~" else f"--paddle '{self.paddle}'"]
        told += [f"--build {self.build}"] if self.build else []
        return " ".join([*told, "--device cpu"] if self.device == "cpu" else told)


@functools.cache
def _holds(paddle: str, version: str) -> bool:
    return _range(paddle).contains(version, prereleases=True)


def _range(paddle: str) -> SpecifierSet:
    if paddle == AUTO:
        return SpecifierSet()
    return SpecifierSet(f"=={Version(paddle)}") if paddle[:1].isdigit() else SpecifierSet(paddle)
