"""What a lock says, as data. Reading one is in ``pylock.py``."""

from __future__ import annotations

from collections import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

PIECE_SIZE = 4 * 1024 * 1024  # bytes

Device = Literal["gpu", "cpu"]
CudaRuntime = Literal["wheels", "system", "none"]


@dataclass(frozen=True)
class Wheel:
    """One file of a lock, found by its name on whichever mirror is configured."""

    name: str  # normalised distribution name
    version: str
    filename: str
    size: int | None  # bytes; None only in a lock that is not ours
    sha256: str  # lower-case hex
    pieces: tuple[str, ...] = ()  # sha256 of every 4 MiB piece; empty when the lock ships none

    @property
    def stem(self) -> str:
        """NAME-VERSION as its file spells them: so are its folders called, STEM.dist-info and STEM.data."""
        return "-".join(self.filename.split("-")[:2])


@dataclass(frozen=True)
class CudaLibraries:
    """How a build finds its CUDA libraries at run time."""

    group: str  # dependency group that holds the NVIDIA wheels
    link: bool  # True: links in paddle/libs are needed (2.6.2 asks for unversioned names)
    needs: Mapping[str, str]  # library name -> major of the SONAME that serves it: {"libcudnn.so": "8"}


@dataclass(frozen=True)
class Build:
    """What later stages need to know of the build that a lock installs: ``[tool.paddle-bootstrap]``."""

    id: str  # "gpu-2_6_2-cu118": the lock's name
    package: str  # "paddlepaddle-gpu"
    version: str
    device: Device
    cuda: str | None  # "11.8"
    cudnn_built: str | None  # "8.6.0"
    cudnn_runtime: str | None  # "8.9.6": what get_cudnn_version() must say with the lock's wheels
    min_driver: str | None  # NVIDIA's minor-version floor
    toolkit_driver: str | None  # the toolkit's own driver; below it PTX cannot be compiled
    sass: tuple[int, ...]  # compute capabilities with machine code: (61, 70, 75, 80, 86)
    ptx: tuple[int, ...]
    glibc: str | None
    glibcxx: str | None
    cpu_flags: tuple[str, ...]  # needed of the CPU: ("avx",)
    unpacked_bytes: int  # of the wheels of one Python, largest Python, group included
    libraries: CudaLibraries | None
    index_folder: str | None  # "cu118": its folder on the Paddle wheel index; "cpu" for CPU builds


def build_from_json(data: Mapping[str, Any]) -> Build:
    """The Build that ``dataclasses.asdict`` or a lock's table wrote. Raises ValueError naming the key that is wrong."""
    libraries = data.get("libraries")
    lists = {key: tuple(data[key]) for key in ("sass", "ptx", "cpu_flags") if isinstance(data.get(key), list)}
    read = _typed(Build, {**data, **lists})
    return Build(
        **{**read, "libraries": None if libraries is None else CudaLibraries(**_typed(CudaLibraries, libraries))}
    )


def learned_from_json(data: Mapping[str, Any]) -> Learned:
    """The Learned that a lock's table wrote. Raises ValueError naming the key that is wrong."""
    return Learned(**_typed(Learned, data))


def _typed(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` with every field of the dataclass ``kind``; those that may be None may be absent."""
    types = get_type_hints(kind)
    if unknown := set(data) - set(types):
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
    for name, wanted in types.items():
        if not _is(data.get(name), wanted):
            raise ValueError(f"{name} = {data.get(name)!r}" if name in data else f"{name} is missing")
    return {name: data.get(name) for name in types}


def _is(value: Any, wanted: Any) -> bool:
    origin, inside = get_origin(wanted), get_args(wanted)
    if origin is UnionType:
        return any(_is(value, each) for each in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, inside[0]) for item in value)
    if origin is abc.Mapping:
        return isinstance(value, dict) and all(_is(name, str) and _is(item, inside[1]) for name, item in value.items())
    return isinstance(value, dict) if wanted is CudaLibraries else type(value) is wanted


@dataclass(frozen=True)
class Learned:
    """How a digest is known that no index publishes."""

    file: str
    how: Literal["first use", "recorded"]
    source: str  # the host it was downloaded from, or whoever recorded the digest
    on: str  # UTC date of the composing
    transport: str | None = None  # what other hosts said of it: evidence about the way, not about the file

    def __str__(self) -> str:
        origin = (
            f"first use, from {self.source} on {self.on}" if self.how == "first use" else f"recorded by {self.source}"
        )
        return f"{self.file}: {origin}{f' ({self.transport})' if self.transport else ''}"


@dataclass(frozen=True)
class Lock:
    """A PEP 751 lock. ``build`` is None for a lock that is not ours (``fetch`` takes any with hashes)."""

    path: Path
    name: str  # NAME of pylock.NAME.toml, or the file's stem
    build: Build | None
    sha256: str  # of the lock file itself
    default_groups: tuple[str, ...]
    learned: tuple[Learned, ...] = ()
    extra: tuple[str, ...] = ()  # what the project's settings asked for beside Paddle

    @property
    def first_use(self) -> tuple[Learned, ...]:
        """The files whose digest nobody but their host vouches for."""
        return tuple(learned for learned in self.learned if learned.how == "first use")


@dataclass(frozen=True)
class Locked:
    """One package of a lock with all its wheels, for whatever Python; ``version`` None: the lock does not tell it."""

    name: str
    version: str | None
    wheels: tuple[Wheel, ...]


@dataclass(frozen=True)
class Selection:
    """The wheels of a lock that one interpreter takes."""

    lock: Lock
    groups: tuple[str, ...]
    wheels: tuple[Wheel, ...]
