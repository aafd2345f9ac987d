"""What an installation is asked to do, and what it says afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.install.cuda_runtime import CudaChoice
from paddle_bootstrap.install.receipt import Receipt
from paddle_bootstrap.install.target import TargetState
from paddle_bootstrap.lock.model import Build, Selection, Wheel


class Unpack(Protocol):
    """Gives the folder of an unpacked wheel; ``again``: unpacked anew."""

    def __call__(self, wheel: Wheel, *, again: bool = False) -> Path: ...


@dataclass(frozen=True)
class Installed:
    """``actions``: what was done, in words."""

    receipt: Receipt
    changed: bool
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """One installation, everything decided."""

    selection: Selection
    state: TargetState
    python: Interpreter
    cuda: CudaChoice
    unpack: Unpack
    environ: Mapping[str, str]
    in_place: bool = False
    compile_bytecode: bool = True
    repair: bool = False  # compare every file with its digest, not with its size alone
    origins: Mapping[str, Sequence[str]] = field(default_factory=dict)  # sha256 -> the mirrors that brought it
    keep: bool = True  # the state that the target is in now, beside the new one

    @property
    def build(self) -> Build | None:
        return self.selection.lock.build

    @property
    def links(self) -> bool:
        """Whether Paddle finds NVIDIA's wheels by links."""
        libraries = self.build.libraries if self.build else None
        return libraries is not None and libraries.link and self.cuda.runtime == "wheels"
