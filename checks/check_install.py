"""The installation: what stands in the target is what the lock says, and nothing else is mixed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.toml import shipped

PADDLES = shipped(Path(__file__).with_name("limits.toml"))["packages"]["paddle"]
AGAIN = "install again: paddle-bootstrap install --env DIR --repair"


@pytest.mark.level("quick")
def check_packages(lock, run):
    """Names and versions are those of the lock.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    found = run("distributions.found")
    wrong = {wheel.name: wheel.version for wheel in lock.wheels if found.get(wheel.name) != [wheel.version]}
    expect(
        lock.wheels, "the lock names no package", measured="none", expected="Paddle and what it depends on", fix=AGAIN
    )
    expect(
        not (lock.receipt or {}).get("doubtful"),
        "a change in place was not ended",
        measured="a receipt that vouches for nothing",
        expected="the receipt of an installation that ended",
        likely="install --in-place failed or was interrupted",
        fix=AGAIN,
    )
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
    """Every installed file has its recorded size.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    told = run("distributions.changed", names=[wheel.name for wheel in lock.wheels])
    expect(
        not told["unrecorded"],
        f"{len(told['unrecorded'])} packages have no record of their files",
        measured=few(told["unrecorded"]),
        expected="a RECORD that lists files, for each",
        likely="a package was removed by hand, or the disk was full",
        fix=AGAIN,
    )
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
    """One Paddle is installed, once.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    paddles = run("distributions.beside", names=PADDLES)
    expect(
        paddles,
        "no Paddle is installed here",
        measured=f"none of {few(PADDLES)}",
        expected="one of them",
        likely="it was removed, or another environment was meant: --env DIR",
        fix="paddle-bootstrap install --env DIR --repair",
    )
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
    """Paddle imports and is the lock's build.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    build, told = lock.build, run("paddle_build.build")
    wanted = {"version": build.version, "compiled_with_cuda": build.device == "gpu"}
    if build.device == "gpu":
        known = {"cuda": build.cuda, "cudnn": build.cudnn_built}  # of a composed lock, not all of it
        wanted |= {key: value for key, value in known.items() if value is not None}
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
