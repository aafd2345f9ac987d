"""The installation: what stands in the target is what the lock says, and nothing else is mixed in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMITS = tomllib.loads(Path(__file__).with_name("limits.toml").read_text(encoding="utf-8"))
AGAIN = "install again: paddle-bootstrap install --env DIR"
SHOWN = 3  # items named in a message; the rest are counted


def few(items):
    items = list(items)
    return "; ".join(items[:SHOWN]) + (f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else "")


@pytest.mark.level("quick")
def check_packages(lock, run):
    """Names and versions are those of the lock."""
    found = run("distributions.found")
    wrong = {wheel.name: wheel.version for wheel in lock.wheels if found.get(wheel.name) != [wheel.version]}
    expect(lock.wheels, "the lock names no package", fix=AGAIN)
    expect(
        not wrong,
        f"{len(wrong)} of {len(lock.wheels)} packages are not the lock's: {few(wrong)}",
        measured=few(f"{name} {' and '.join(found.get(name, ['missing']))}" for name in wrong),
        expected=few(f"{name} {version}" for name, version in wrong.items()),
        likely="pip installed or removed something since",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_files(lock, run):
    """Every installed file has its recorded size."""
    told = run("distributions.changed", names=[wheel.name for wheel in lock.wheels])
    expect(
        not told["unrecorded"],
        f"{len(told['unrecorded'])} packages have no RECORD of their files",
        measured=few(told["unrecorded"]),
        expected="a RECORD for each",
        fix=AGAIN,
    )
    expect(told["files"], "no file is recorded", fix=AGAIN)
    expect(
        not told["changed"],
        f"{len(told['changed'])} of {told['files']} files are missing or changed",
        measured=few(f"{path}: {'missing' if now is None else f'{now} bytes'}" for path, _, now in told["changed"]),
        expected=few(f"{path}: {size} bytes" for path, size, _ in told["changed"]),
        likely="a disk that was full, or another package over these",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_single_paddle(run):
    """One Paddle is installed, once."""
    found = run("distributions.found")
    paddles = [(name, version) for name in LIMITS["packages"]["paddle"] for version in found.get(name, ())]
    expect(paddles, "no Paddle is installed here", fix="paddle-bootstrap install --env DIR")
    expect(
        len(paddles) == 1,
        "two Paddles overwrite each other's files",
        measured=", ".join(f"{name} {version}" for name, version in paddles),
        expected="one of them",
        likely="a package that requires paddlepaddle was installed into a GPU environment",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_build(lock, run):
    """Paddle imports and is the lock's build."""
    build, told = lock.build, run("paddle_build.build")
    wanted = {"version": build.version, "compiled_with_cuda": build.device == "gpu"}
    if build.device == "gpu":
        wanted |= {"cuda": build.cuda, "cudnn": build.cudnn_built}
    wrong = {key: told[key] for key, value in wanted.items() if told[key] != value}
    fell_back = build.device == "gpu" and not told["compiled_with_cuda"]
    expect(
        not wrong,
        f"the installed Paddle is not {build.package} {build.version}",
        measured=", ".join(f"{key} {value}" for key, value in wrong.items()),
        expected=", ".join(f"{key} {wanted[key]}" for key in wrong),
        likely="a CPU build stands where the GPU build should" if fell_back else "another wheel was installed over it",
        fix=AGAIN,
    )
