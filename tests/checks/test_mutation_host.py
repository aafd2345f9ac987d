"""Checks of the checks of the host as a whole: each is broken where it decides, and one of these hosts must notice."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.facts import DeviceNode, HostFacts, KernelLine, StuckProcess, Unknown
from paddle_bootstrap.lock.model import Build
from tests.checks import test_host
from tests.checks.test_host import ABSENT, Change, both, driver, first_gpu_only, gpu, host, nodes, room

Said = tuple[str, str, str]  # name of a check, outcome, what it says
UNREAD = Unknown("it was not to be read")
XID_79 = KernelLine(5.0, "NVRM: Xid (PCI:0000:10:00): 79, fell")
FOREIGN = KernelLine(5.0, "NVRM: Xid (PCI:0000:99:00): 79, fell")
TWO_OF = tuple(DeviceNode(f"/dev/{name}", None) for name in ("nvidiactl", "nvidia0", "nvidia1"))
WELL = {"recovery_action": 0, "ecc_uncorrected": 0, "rows": {"pending": False, "failed": False}}
CARDS: tuple[Mapping[int, Mapping[str, Any]], ...] = (
    {},
    {0: {**WELL, "retired_pages": UNREAD}},
    {0: {**dict.fromkeys(WELL, UNREAD), "retired_pages": UNREAD}},
    {0: {**WELL, "retired_pages": {"pending": True}}},
)


def log(*lines: KernelLine, **more: Any) -> Change:
    return host(kernel_log=lines, uptime=1e6, **more)


def sliced(facts: HostFacts) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    return replace(facts, gpus=(replace(facts.gpus[0], mig=True),), visible_devices="MIG-a,MIG-b")


CHANGES: dict[str, list[Change]] = {
    "host": [
        *(change for _, change, _ in test_host.BAD),
        test_host.UNDER_WSL,
        both(test_host.UNDER_WSL, driver(library="440.33.01")),
        both(first_gpu_only, host(container="docker"), nodes(nvidiactl=None, nvidia_uvm=None, nvidia0=None)),
        nodes(**{**test_host.TWO_NODES, "nvidia_uvm": ABSENT}),
        driver(kernel_module="470.57.02", library="470.57.02"),
        both(room("shm", total_bytes=2**26), host(gpus=())),
        driver(cuda_version=UNREAD),
        gpu(1, uuid=UNREAD, name=UNREAD, pci_address=UNREAD),
        host(gpus=()),
    ],
    "kernel": [
        log(XID_79),
        log(XID_79, accepted=1.0),
        log(XID_79, accepted=50.0),
        log(XID_79, KernelLine(6.0, "PM: suspend exit"), accepted=50.0),
        log(XID_79, XID_79),
        log(KernelLine(5.0, "NVRM: Xid (PCI:0000:10:00): 63, row"), kernel_log_begins=9.0),
        log(KernelLine(5.0, "NVRM: Xid (PCI:0000:10:00): 13, bug")),
        both(log(XID_79), host(uptime=UNREAD)),
        log(FOREIGN, container="docker", device_nodes=TWO_OF),
        log(XID_79, container="docker", device_nodes=TWO_OF),
        log(FOREIGN),
        log(KernelLine(5.0, "EDAC MC0: 1 CE memory read error"), KernelLine(6.0, "EDAC MC0: 1 CE memory read error")),
        log(KernelLine(5.0, "EDAC MC0: 1 UE memory read error")),
        log(KernelLine(5.0, "nvidia 0000:10:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=x")),
        log(stuck=(StuckProcess(7, "nv_queue", ()), StuckProcess(8, "python", ("/dev/nvidia0",)))),
        log(stuck=UNREAD),
        log(wsl=True),
        host(kernel_log=UNREAD),
    ],
    "environment": [
        host(variables={"CUDA_PROFILE": "1", "COMPUTE_PROFILE": "0", "NCCL_ALGO": ""}),
        host(visible_devices="GPU-"),
        host(visible_devices="0"),
        host(visible_devices="0,0"),
        host(visible_devices=""),
        host(visible_devices="1,"),
        host(visible_devices="7", gpus=UNREAD),
        both(gpu(0, uuid=UNREAD), host(visible_devices="GPU-none")),
        sliced,
        driver(nvml_code=999),
        both(driver(nvml_code=999), host(container="docker")),
    ],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_broken_check_is_noticed(name: str, healthy: HostFacts, gpu_build: Build) -> None:
    path = built_in_checks() / f"check_{name}.py"
    tree = unmarked(ast.parse(path.read_text(encoding="utf-8")))
    hosts = [log()(healthy), *sorted((change(log()(healthy)) for change in CHANGES[name]), key=searches_the_log)]
    sound = list(said(tree, str(path), hosts, gpu_build))
    assert {outcome for _, outcome, _ in sound} >= {"passed", "warned", "failed"}
    survivors = [told for told, mutant in mutants(tree) if alike(said(mutant, str(path), hosts, gpu_build), sound)]
    assert survivors == []


def searches_the_log(facts: HostFacts) -> bool:
    """These take longest, so they come last: most mutants are noticed before."""
    return isinstance(facts.gpus, tuple) and len(facts.gpus) < 2


def unmarked(tree: ast.Module) -> ast.Module:
    """Without marks: this pytest knows none of the harness's."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return tree


def alike(found: Iterator[Said], sound: list[Said]) -> bool:
    """Ends at the first difference."""
    return all(told == expected for told, expected in zip(found, sound, strict=True))


def said(tree: ast.Module, path: str, hosts: list[HostFacts], build: Build) -> Iterator[Said]:
    """What the checks of this code say of each host."""
    names: dict[str, Any] = {"__file__": path, "__name__": "mutant"}
    exec(compile(tree, path, "exec"), names)
    checks = {name: check for name, check in names.items() if name.startswith("check_")}
    bare = replace(build, min_driver=None, glibcxx=None)  # a build of which less is known
    few = [facts for facts in hosts if facts.driver.cuda_version == (10, 2) or facts is hosts[0]]
    every = [(facts, build, CARDS[0]) for facts in hosts] + [(facts, bare, CARDS[0]) for facts in few]
    every += [(hosts[-1], build, cards) for cards in CARDS]
    return ((name, *called(check, *each)) for each in every for name, check in checks.items())


def called(
    check: Callable[..., None], facts: HostFacts, build: Build, cards: Mapping[int, Mapping[str, Any]]
) -> tuple[str, str]:
    warnings: list[str] = []
    have = {
        "host": facts,
        "lock": SimpleNamespace(build=build),
        "warn": warnings.append,
        "every_reading": lambda: cards,
    }
    try:
        check(**{name: have[name] for name in inspect.signature(check).parameters})
    except CheckFailed as failed:
        return "failed", str((vars(failed), warnings))
    except pytest.skip.Exception as skipped:
        return "skipped", str(skipped)
    except Exception as error:  # noqa: BLE001 a mutant may raise anything
        return "raised", str(error)
    return ("warned" if warnings else "passed"), "; ".join(warnings)


def mutants(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Each decision forced either way, and each expectation that always holds; the tree is mended after each."""
    for node in list(ast.walk(tree)):
        if isinstance(node, (ast.If, ast.IfExp)):
            place, key = vars(node), "test"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expect":
            place, key = node.args, 0
        else:
            continue
        condition = place[key]
        for value in (True, False):
            place[key] = ast.copy_location(ast.Constant(value), condition)
            yield f"line {node.lineno}: {ast.unparse(condition)} is {value}", tree
        place[key] = condition
