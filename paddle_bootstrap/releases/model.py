"""What is known of every Paddle build that exists, as data. Choosing among them is in ``select.py``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from packaging.version import Version

from paddle_bootstrap import toml

TABLE = Path(__file__).with_name("releases.toml")

Device = Literal["gpu", "cpu"]
Mark = Literal["measured", "reported", "inferred"]  # read from the bytes; told by somebody who ran it; concluded by us
Served = Literal["pypi", "paddle", "find-links", "nowhere"]
Libraries = Literal["dependencies", "links", "host", "none"]
MARKS: tuple[Mark, ...] = get_args(Mark)


@dataclass(frozen=True)
class Code:
    """Machine code that a build holds for one compute capability: (8, 6)."""

    capability: tuple[int, int]
    mark: Mark
    source: str

    def runs_on(self, capability: tuple[int, int]) -> bool:
        """Machine code runs on its own generation from its minor version on, and nowhere else (NVIDIA, CUDA C++ guide)."""
        return self.capability[0] == capability[0] and self.capability[1] <= capability[1]


@dataclass(frozen=True)
class Release:
    """One build: a version, and one wheel per Python. ``size`` is of the newest Python's wheel, in bytes."""

    version: str  # "3.3.1"; "2.6.2.post120" where the index has the build in the version
    build: str  # "cu126", or "cpu"
    device: Device
    package: str  # "paddlepaddle-gpu"
    pythons: tuple[str, ...]  # ("3.9", ..., "3.13")
    served: Served
    file_tag: str  # platform part of the file names: "linux_x86_64"
    source: str
    index_folder: str | None = None  # "cu126": its folder on the Paddle wheel index
    sizes: Mapping[str, int] = field(default_factory=dict)  # Python -> bytes, where known
    cuda: str | None = None  # "12.6"
    cudnn: str | None = None
    min_driver: str | None = None  # NVIDIA's minor-version floor; None for CUDA before 11: the toolkit's own counts
    toolkit_driver: str | None = None  # the toolkit's own; below it no PTX is compiled, and no CINN
    paddle_driver: str | None = None  # what Paddle's own documents ask for
    code: tuple[Code, ...] | None = None  # None: nobody has told
    complete: bool = False  # ``code`` is all the machine code there is; else it is what somebody has told
    glibc: str | None = None
    glibcxx: str | None = None
    floors: str | None = None  # where the two are from
    cpu_flags: tuple[str, ...] = ()  # instructions the processor must have
    libraries: Libraries = "none"  # CUDA: its METADATA pins NVIDIA's wheels; we link them; the host must have them
    docker: tuple[str, ...] = ()  # tags of paddlepaddle/paddle that hold this very build
    lock: str | None = None  # name of the shipped lock, if there is one
    note: str | None = None

    @property
    def id(self) -> str:
        """``3.3.1 cu126``, as plans and errors name it."""
        return f"{self.public} {self.build}"

    @property
    def public(self) -> str:
        """The version without what only tells the build apart: ``2.6.2`` of ``2.6.2.post120``."""
        return re.sub(r"\.post\d+$", "", self.version)

    @property
    def names(self) -> tuple[str, ...]:
        """What ``--build`` may call it: ``post120`` is for CUDA 12.0 and answers to ``cu120`` too."""
        by_cuda = f"cu{self.cuda.replace('.', '')}" if self.cuda else self.build
        return (self.build,) if by_cuda == self.build else (self.build, by_cuda)

    @property
    def is_prerelease(self) -> bool:
        return Version(self.version).is_prerelease

    @property
    def sass(self) -> tuple[int, ...]:
        """The whole list, as locks write it: (61, 70, 86); empty where the whole is not known."""
        found = {major * 10 + minor for major, minor in (each.capability for each in self.code or ())}
        return tuple(sorted(found)) if self.complete else ()

    def filename(self, python: str) -> str:
        """The name of its wheel for ``python`` ("3.12"), which is the same in every folder of the Paddle index."""
        tag = "cp" + python.replace(".", "")
        abi = f"{tag}m" if python in ("3.6", "3.7") else tag
        return f"{self.package.replace('-', '_')}-{self.version}-{tag}-{abi}-{self.file_tag}.whl"

    def code_for(self, capability: tuple[int, int]) -> Code | None:
        """The machine code that such a GPU runs, the best attested first; None: it holds none, or nobody knows."""
        fitting = [each for each in self.code or () if each.runs_on(capability)]
        return min(fitting, key=lambda each: (MARKS.index(each.mark), -each.capability[1]), default=None)


def release(row: Mapping[str, Any]) -> Release:
    """One ``[[release]]`` table as a value. The schema has judged its form."""
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items() if key != "code"
    }
    return Release(**plain, code=_code(row.get("code")))


def _code(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Code, ...] | None:
    """Every row names several capabilities of one source: { sm = [80, 90], mark = "reported", source = "..." }."""
    if rows is None:
        return None
    return tuple(Code(divmod(sm, 10), row["mark"], row["source"]) for row in rows for sm in row["sm"])


@functools.cache
def releases() -> tuple[Release, ...]:
    """Every build of ``releases.toml``, newest version first, then the higher CUDA."""
    return read(TABLE.read_text(encoding="utf-8"))


def device_of(package: str) -> Device:
    """What the builds of this name are for: ``gpu`` for ``paddlepaddle-gpu``. KeyError for a name without builds."""
    return {each.package: each.device for each in releases()}[package]


def read(text: str) -> tuple[Release, ...]:
    """Every build of the table ``text``, in that order."""
    return tuple(sorted(map(release, toml.loads(text)["release"]), key=_order, reverse=True))


def _order(each: Release) -> tuple[bool, Version, Version]:
    return each.device == "gpu", Version(each.public), Version(each.cuda or "0")
