"""A host as a file: every reading of it, so that what once was can be judged again elsewhere, without its GPUs.

It is TOML. ``[system]`` has the driver and what of the host was seen, ``[gpu]`` the readings that are the same on all GPUs,
``[gpu0]`` and so on the rest, by their names and in their shapes. A reading that is missing is not supported; "!15" stands for
NVML's code and "~60" for a call without an answer.

UUIDs and serial numbers are masked: each is replaced by a number, two that are equal by the same one. The name of the host
and those of programs are not in it; of the kernel's log it has the driver's lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_bootstrap import __version__
from paddle_bootstrap.host import readings
from paddle_bootstrap.host.facts import Abandoned, HostFacts, Late, Unknown, Unsupported
from paddle_bootstrap.host.nvml import CALL_SECONDS
from paddle_bootstrap.host.rootfs import text

SCHEMA = 1
HANG = "~60"  # what a fake driver does where the recorded one did not answer: it hangs for a minute
LINES = 200  # the newest of the driver's in the kernel's log
DRIVER = re.compile(r"NVRM: (?!loading )|nvidia-nvswitch")
PROGRAM = re.compile(r"name=[^,]*")
UUID = re.compile(r"GPU-[0-9a-fA-F-]{36}")
SERIAL = re.compile(r"(?<=Serial Number: )\S+")
UNCODED = "!999"  # what it returns where the failure had no code: UNKNOWN


@dataclass
class Masks:
    """What stands for each text that must not be told."""

    known: dict[str, int] = field(default_factory=dict)

    def uuid(self, text: str) -> str:
        number = self._number(text)
        return f"GPU-{number:08x}-0000-4000-8000-{number:012x}"

    def serial(self, text: str) -> str:
        return f"{self._number(text):013d}"

    def _number(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known) + 1)


def record(environ: Mapping[str, str], root: Path, facts: HostFacts, seconds: float = CALL_SECONDS) -> str:
    """This host as TOML. ``root``: where its files are, ``facts``: what is known of it already, ``seconds``: for each call."""
    indices = range(len(facts.gpus)) if isinstance(facts.gpus, tuple) else range(0)
    masks = Masks()
    told = masked(readings.sweep(environ, indices, seconds=seconds), masks)
    return document(_log(facts, masks), _system(root, facts, told), told)


def masked(told: Mapping[int, Mapping[str, Any]], masks: Masks) -> dict[int, dict[str, Any]]:
    """The readings without what identifies the cards."""
    ways: dict[str, Callable[[str], str]] = {"uuid": masks.uuid, "serial": masks.serial}
    return {
        index: {
            name: ways[name](value) if name in ways and isinstance(value, str) else value
            for name, value in of_gpu.items()
        }
        for index, of_gpu in told.items()
    }


def document(log: list[Any], system: Mapping[str, Any], told: Mapping[int, Mapping[str, Any]]) -> str:
    """What is the same on all GPUs stands once."""
    cards = [dict(_written(of_gpu)) for of_gpu in told.values()]
    first = cards[0] if len(cards) > 1 else {}
    shared = {name: value for name, value in first.items() if all(card.get(name) == value for card in cards)}
    tables: dict[str, Mapping[str, Any]] = {"system": system, "gpu": shared}
    for index, card in zip(told, cards, strict=True):
        tables[f"gpu{index}"] = {name: value for name, value in card.items() if name not in shared}
    lines = [f"schema = {SCHEMA}", f"source = {_toml(f'recorded by paddle-bootstrap {__version__}')}"]
    lines += ["log = [", *(f"    {_toml(line)}," for line in log), "]"] if log else []
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _log(facts: HostFacts, masks: Masks) -> list[Any]:
    """Seconds since boot and words of what the driver wrote, without the names of programs and what identifies the cards."""
    if isinstance(facts.kernel_log, Unknown):
        return []
    lines = [line for line in facts.kernel_log if DRIVER.match(line.text)]
    return [[round(line.seconds, 6), _masked_line(line.text, masks)] for line in lines[-LINES:]]


def _masked_line(text: str, masks: Masks) -> str:
    text = UUID.sub(lambda found: masks.uuid(found[0]), PROGRAM.sub("name=?", text))
    return SERIAL.sub(lambda found: masks.serial(found[0]), text)


def _system(root: Path, facts: HostFacts, told: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The driver, and what this process was not given of the host."""
    module, library, cuda = facts.driver.kernel_module, facts.driver.library, facts.driver.cuda_version
    bus = [] if isinstance(facts.pci_gpus, Unknown) else list(facts.pci_gpus)
    listed = {of_gpu.get("pci_address") for of_gpu in told.values()}
    kind = text(root, f"sys/bus/pci/devices/{bus[0]}/class") if bus else None
    found = {
        "driver": module if isinstance(module, str) else None,
        "library": library if isinstance(library, str) and library != module else None,
        "cuda": None if isinstance(cuda, Unknown) else cuda[0] * 1000 + cuda[1] * 10,
        "container": facts.container if isinstance(facts.container, str) else None,
        "wsl": facts.wsl or None,
        "uptime": None if isinstance(facts.uptime, Unknown) else facts.uptime,
        "readable_log": False if isinstance(facts.kernel_log, Unknown) else None,
        "pci_class": kind.strip() if isinstance(kind, str) else None,
        "bus_only": [address for address in bus if address not in listed] or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _written(of_gpu: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Readings in the file's words: nothing where something is not supported, a sign where it failed."""
    for name, value in of_gpu.items():
        if isinstance(value, (Unsupported, Abandoned)) or (name, value) == ("handle", True) or name == "index":
            continue
        if isinstance(value, Unknown):
            yield name, _sign(value)
        elif isinstance(value, dict):
            yield name, {str(key): part for key, part in value.items() if part is not None}
        elif name == "processes":
            yield name, [{key: part for key, part in one.items() if part is not None} for one in value]
        else:
            yield name, value


def _sign(failed: Unknown) -> str:
    if failed.code is not None:
        return f"!{failed.code}"
    return HANG if isinstance(failed, Late) else UNCODED


def _toml(value: Any) -> str:
    """Plain data as TOML: JSON's own words, but for tables."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(part)}' for key, part in value.items())} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
