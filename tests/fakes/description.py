"""A host as a file describes it, in the format of ``paddle_bootstrap.host.recording``, as the fake NVML's configuration.

Files that are written by hand may be shorter: in texts ``{index}`` is the GPU's, ``nvlinks = 18`` means as many active links,
and ``peers = 0`` that status towards each other GPU. Their ``source`` says how the values are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paddle_bootstrap import toml

NAMES = {"pci_address": "pci", "pci_device_id": "pci.device_id", "compute_capability": "capability"}
TOWARDS = ("peers", "ancestors")


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The tables of the file, and the rows of the configuration for each GPU."""
    told = toml.read(path)
    numbers = sorted(int(name[3:]) for name in told if name.startswith("gpu") and name[3:].isdigit())
    assert numbers == list(range(len(numbers))), f"{path}: GPUs {numbers}"
    assert told["schema"] == 1
    return told, [_rows(told.get("gpu", {}) | told[f"gpu{index}"], index, len(numbers)) for index in numbers]


def _rows(readings: Mapping[str, Any], index: int, count: int) -> dict[str, str]:
    rows: dict[str, str] = {}
    for name, value in readings.items():
        if isinstance(value, str) and value[:1] in "!~@^" and value:
            rows[NAMES.get(name, name).partition(".")[0]] = value
        else:
            rows |= {key: _word(part).format(index=index) for key, part in _parts(name, value, index, count)}
    return rows


def _parts(name: str, value: Any, index: int, count: int) -> Iterator[tuple[str, Any]]:
    """Keys and values of one reading."""
    if name in NAMES:
        shown = ".".join(map(str, value)) if name == "compute_capability" else value
        yield NAMES[name], f"0x{shown}" if name == "pci_device_id" else shown
    elif name == "processes":
        yield name, "; ".join(f"{one['pid']} {one['kind']} {one.get('memory', '-')}" for one in value)
    elif name == "nvlinks":
        links = [{"link": link, "active": True} for link in range(value)] if isinstance(value, int) else value
        yield from ((f"nvlinks.{link['link']}", link["active"]) for link in links)
    elif name in TOWARDS and isinstance(value, int):
        yield from ((f"{name}.{other}", value) for other in range(count) if other != index)
    elif isinstance(value, dict):
        yield from ((f"{name}.{part}", told) for part, told in value.items())
    else:
        yield name, value


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def plain(value: str) -> int | None:
    """The number that a row begins with, for the readers that are not NVML; None: it has none."""
    first = value.partition("|")[0].strip()
    return int(first) if first.isdigit() else None
