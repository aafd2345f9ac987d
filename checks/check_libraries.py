"""The CUDA libraries: they come from where the receipt says, and they load. Judged last, when the GPUs have used them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.toml import shipped

FAMILIES = shipped(Path(__file__).with_name("limits.toml"))["cuda_libraries"]["families"]
AGAIN = "install again: paddle-bootstrap install --env DIR --repair"
WITHOUT = "env -u LD_LIBRARY_PATH paddle-bootstrap verify --env DIR"


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_origin(lock, run):
    """CUDA libraries come from where they should.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    would = run("libraries.found", names=names_of(lock))
    expect_at_home(would["files"].values(), would["site_packages"], lock)  # first: a foreign cuDNN aborts the process
    run("paddle_build.build")  # Paddle opens what it opens at import
    did = run("libraries.mapped", families=FAMILIES)
    expect_at_home(did["files"], did["site_packages"], lock)


def expect_at_home(paths, site_packages, lock):
    homes = homes_of(lock, Path(site_packages))
    foreign = sorted({path for path in paths if path and not any(Path(path).is_relative_to(home) for home in homes)})
    expect(
        not foreign,
        f"{len(foreign)} CUDA libraries come from elsewhere: {few(foreign)}",
        measured=few(foreign),
        expected=f"from {few(homes)}",
        likely="LD_LIBRARY_PATH or /etc/ld.so.conf names another CUDA",
        fix=WITHOUT,
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_load(lock, run):
    """Every CUDA library that is needed loads.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    lacking = sorted(set(needs_of(lock)) - set(names_of(lock)))
    expect(
        not lacking,
        f"{len(lacking)} CUDA libraries are neither linked nor recorded: {few(lacking)}",
        measured=f"the receipt has {few(names_of(lock)) or 'none'}",
        expected=few(needs_of(lock)),
        likely="the installation was made by an older lock",
        fix=AGAIN,
    )
    files = files_of(lock, run)
    problems = run("libraries.load", files=files)
    expect(
        not problems,
        f"{len(problems)} of {len(files)} CUDA libraries do not load: {few(problems)}",
        measured=few(f"{name}: {why}" for name, why in problems.items()),
        expected="all load",
        likely="a package of NVIDIA's was removed or changed",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_cudnn(lock, run):
    """Paddle finds the expected cuDNN.

    Fix: install again: paddle-bootstrap install --env DIR --repair
    """
    build, found = lock.build, run("paddle_build.cudnn")
    fits, wanted = bool(found), "any"
    if build.cudnn_built:
        built = number_of(build.cudnn_built)
        fits, wanted = built <= (found or 0) < next_major(built), f"{built} or newer of that major"
    if runtime_of(lock) != "system" and build.cudnn_runtime:
        wanted = number_of(build.cudnn_runtime)
        fits = found == wanted
    expect(
        fits,
        f"Paddle finds cuDNN {found}, not {wanted}" if found else "Paddle finds no cuDNN",
        measured=f"get_cudnn_version() says {found}",
        expected=wanted,
        likely="LD_LIBRARY_PATH names a folder with another cuDNN: it comes before Paddle's own"
        if found
        else "its links or NVIDIA's package were removed: see libraries.load",
        fix=WITHOUT if found else AGAIN,
    )


def runtime_of(lock):
    """Without a receipt, the lock's own wheels are what is asked for."""
    return lock.receipt["cuda_runtime"] if lock.receipt else "wheels"


def needs_of(lock):
    """What the build itself asks the loader for."""
    return sorted(lock.build.libraries.needs) if lock.build.libraries else []


def names_of(lock):
    """What Paddle, and the libraries among themselves, ask the loader for."""
    if lock.receipt is None:
        return needs_of(lock)
    return sorted({*lock.receipt["libraries"], *(Path(link).name for link in lock.receipt["links"])})


def files_of(lock, run):
    """What to open: the receipt's links and files, else what the loader takes for the names that the build needs."""
    if lock.receipt is not None:
        return [*lock.receipt["links"], *lock.receipt["libraries"].values()]
    return [path or name for name, path in run("libraries.found", names=names_of(lock))["files"].items()]


def homes_of(lock, site_packages):
    """Paddle's own folder, and NVIDIA's wheels or, when the system's libraries are used, where those were found.

    Their parts lie beside them.
    """
    if runtime_of(lock) != "system":
        return [site_packages / "paddle", site_packages / "nvidia"]
    recorded = {Path(path).resolve().parent for path in lock.receipt["libraries"].values()}
    return [site_packages / "paddle", *sorted(recorded)]


def number_of(version):
    """8.9.6 -> 8906, as cuDNN counts up to version 8; 9.5.1 -> 90501, as it does from version 9 on."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 1000 + minor * 100 + patch if major < 9 else major * 10000 + minor * 100 + patch


def next_major(number):
    return (number // 1000 + 1) * 1000 if number < 10000 else (number // 10000 + 1) * 10000
