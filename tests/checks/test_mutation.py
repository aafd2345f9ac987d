"""Checks of the checks: each one is broken in every way that matters, and a row of the table of faults must notice."""

from __future__ import annotations

import ast
import copy
import inspect
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.harness.devices import Device, devices
from paddle_bootstrap.harness.expect import CheckFailed
from paddle_bootstrap.harness.readings import Reading
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.results.model import CheckResult
from tests.checks.health import Judge, Judgement, batches, described, faults_of

CHECKS = built_in_checks()
FILES = ("nvml", "memory", "link", "power", "mode", "gpus")
HUGE = 1 << 62
BROKEN = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)  # what a mutant may raise
NUMBER = re.compile(r"\b\w+ = (0x[0-9a-f]+|[\d_]+(?:\.\d+)?)(?!\w)")
SWITCH = re.compile(r"\b\w+ = (true|false)\b")
LIST = re.compile(r"\b\w+ = (\[[\d, ]+\])")
Outcomes = Mapping[str, tuple[str, str]]  # id -> outcome and summary


@pytest.fixture(scope="module")
def judgements(judge_host: Judge) -> tuple[Judgement, ...]:
    """The faulty hosts, then the healthy ones: these notice what would be a false alarm."""
    faulty = [judge_host(batch[0].host, faults_of(batch)) for batch in dict.fromkeys(batches().values())]
    return tuple(faulty + [judge_host(host) for host in described()])


@pytest.mark.parametrize("name", FILES)
def test_a_broken_check_is_noticed(name: str, judgements: tuple[Judgement, ...], tmp_path: Path) -> None:
    path = CHECKS / f"check_{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checks = loaded(tree, path)
    sound = [(judgement, outcomes(checks, judgement)) for judgement in judgements]
    for judgement, found in sound:
        assert found == {check: judged(judgement.results[check]) for check in found}, "called by hand they say the same"
    sound.sort(
        key=lambda pair: not any(said[0] in ("failed", "warned") for said in pair[1].values())
    )  # they notice first
    every = [(told, loaded(mutant, place)) for told, mutant, place in mutants(tree, path, tmp_path)]
    survivors = [
        told for told, broken in every if all(outcomes(broken, judgement) == said for judgement, said in sound)
    ]
    assert every
    assert not survivors


def judged(result: CheckResult) -> tuple[str, str]:
    return result.outcome, result.summary


def mutants(tree: ast.Module, path: Path, folder: Path) -> Iterator[tuple[str, ast.Module, Path]]:
    """What was broken, the broken code, and the file as which it is to be run."""
    for number, node in enumerate(ast.walk(tree)):
        for said, change in broken(node):
            mutant = copy.deepcopy(tree)
            change(list(ast.walk(mutant))[number])
            yield f"line {getattr(node, 'lineno', '?')}: {said}", ast.fix_missing_locations(mutant), path
    for number, (said, limits) in enumerate(broken_limits(tables(path))):
        place = folder / str(number)
        place.mkdir()
        for file in CHECKS.glob("*.toml"):
            shutil.copy(file, place)
        (place / "limits.toml").write_text(limits, encoding="utf-8")
        yield said, tree, place / path.name


def broken(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Ways to break this piece of code."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "expect":
        yield "passes always", lambda call: call.args.__setitem__(0, ast.Constant(True))
        yield "comparison inverted", lambda call: call.args.__setitem__(0, ast.UnaryOp(ast.Not(), call.args[0]))
    if isinstance(node, ast.If):
        yield "condition inverted", lambda found: setattr(found, "test", ast.UnaryOp(ast.Not(), found.test))
        if any(isinstance(inner, ast.Call) and getattr(inner.func, "id", None) == "warn" for inner in ast.walk(node)):
            yield "warns never", lambda found: setattr(found, "test", ast.Constant(False))


def tables(path: Path) -> tuple[str, ...]:
    """The tables of limits.toml that this file of checks names."""
    code = path.read_text(encoding="utf-8")
    limits = (CHECKS / "limits.toml").read_text(encoding="utf-8")
    return tuple(table for table in re.findall(r"^\[(\w+)\]$", limits, re.M) if f'["{table}"]' in code)


def broken_limits(tables: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Texts of limits.toml with one limit put to infinity, one switch turned, one list emptied."""
    text = (CHECKS / "limits.toml").read_text(encoding="utf-8")
    for table in tables:
        start = text.index(f"\n[{table}]\n")
        end = text.find("\n[", start + 1)
        for pattern, values in ((NUMBER, (HUGE, -HUGE)), (SWITCH, ("true", "false")), (LIST, ("[]",))):
            for found in pattern.finditer(text, start, end if end > 0 else len(text)):
                line = text[text.rindex("\n", 0, found.start()) + 1 : found.start()]
                for value in values:
                    if "#" not in line and line.count('"') % 2 == 0 and str(value) != found[1]:
                        yield (
                            f"[{table}] {found[0]} is {value}",
                            f"{text[: found.start(1)]}{value}{text[found.end(1) :]}",
                        )


def loaded(tree: ast.Module, path: Path) -> dict[str, Callable[..., None]]:
    """The checks of a module, by the name that their ids have."""
    module: dict[str, Any] = {"__file__": str(path), "__name__": path.stem}
    exec(compile(tree, path, "exec"), module)
    return {
        f"{path.stem}.{name}".replace("check_", ""): check
        for name, check in module.items()
        if name.startswith("check_")
    }


def outcomes(checks: Mapping[str, Callable[..., None]], judgement: Judgement) -> Outcomes:
    """What each check says of each GPU of that host, from what was read there."""
    return {
        f"{name}[{device.label}]": outcome(check, judgement, device)
        for name, check in checks.items()
        for device in devices(judgement.facts)
    }


def outcome(check: Callable[..., None], judgement: Judgement, device: Device) -> tuple[str, str]:
    warnings: list[str] = []

    def warn(text: str, *, busy: bool = False) -> None:
        warnings.append(text)

    offered: dict[str, Any] = {
        "host": judgement.facts,
        "gpus": tuple(found.gpu for found in devices(judgement.facts)),
        "device": device,
        "reading": Reading(judgement.sweeps, device),
        "warn": warn,
    }
    try:
        check(**{name: offered[name] for name in inspect.signature(check).parameters})
    except CheckFailed as failed:
        return "failed", failed.summary
    except pytest.skip.Exception as skipped:
        return "skipped", str(skipped)
    except BROKEN as error:
        return "error", repr(error)
    return ("warned" if warnings else "passed"), "; ".join(warnings)
