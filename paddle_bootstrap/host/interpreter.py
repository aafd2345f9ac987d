"""Python interpreters: what one is, as data. Probing and finding them is in ``pythons.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Interpreter:
    """One CPython, probed by running it."""

    path: str  # absolute, as run; inside an environment, that environment's python
    version: str  # "3.11.7"
    implementation: str  # "cpython"
    markers: Mapping[str, str]  # all eleven PEP 508 variables of *this* interpreter
    tags: tuple[str, ...]  # wheel tags it accepts, best first: "cp311-cp311-manylinux_2_36_x86_64"
    prefix: str  # sys.prefix
    base_prefix: str  # sys.base_prefix; equals prefix outside an environment
    site_packages: str  # sysconfig platlib
    conda: bool = False  # conda brought it, and may take it away
    odd: str = ""  # why a lock's wheels are not for it: "not CPython", "32 bits", "free-threaded"
    offered: str = ""  # it is not there yet: which mirrors have it; ``path`` is where it will be

    @property
    def minor(self) -> str:
        """``3.11``."""
        return ".".join(self.version.split(".")[:2])
