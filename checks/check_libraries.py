"""The CUDA libraries: they come from where the receipt says, and they load. Judged last, when the GPUs have used them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
FAMILIES = tomllib.loads((HERE / "limits.toml").read_text(encoding="utf-8"))["cuda_libraries"]["families"]
AGAIN = "install again: paddle-bootstrap install --env DIR"
WITHOUT = "env -u LD_LIBRARY_PATH paddle-bootstrap verify --env DIR"
SHOWN = 3  # items named in a message; the rest are counted


def few(items):
    items = list(items)
    return "; ".join(items[:SHOWN]) + (f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else "")


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_origin(lock, run):
    """CUDA libraries come from where they should."""
    run("paddle_build.build")  # Paddle opens what it opens at import
    would, did = run("libraries.found", names=names_of(lock)), run("libraries.mapped", families=FAMILIES)
    homes = [did["site_packages"], *recorded_folders(lock)]
    paths = {*did["files"], *filter(None, would["files"].values())}
    foreign = sorted(path for path in paths if not any(Path(path).is_relative_to(home) for home in homes))
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
    """Every CUDA library that is needed loads."""
    files = files_of(lock, run)
    needs = sorted(lock.build.libraries.needs) if lock.build.libraries else []
    expect(files or not needs, "no CUDA library is linked or recorded", measured="none", expected=few(needs), fix=AGAIN)
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
    """Paddle finds the expected cuDNN."""
    build, found = lock.build, run("paddle_build.build")["cudnn_runtime"]
    built, shipped = number_of(build.cudnn_built), number_of(build.cudnn_runtime)
    fits, wanted = found == shipped, f"{shipped} ({build.cudnn_runtime})"
    if runtime_of(lock) == "system":
        fits, wanted = (
            built <= (found or 0) < next_major(built),
            f"{built} ({build.cudnn_built}) or newer of that major",
        )
    expect(
        fits,
        f"Paddle finds cuDNN {found}, not {shipped}" if found else "Paddle finds no cuDNN",
        measured=f"get_cudnn_version() says {found}",
        expected=wanted,
        likely="LD_LIBRARY_PATH names a folder with another cuDNN: it comes before Paddle's own" if found else None,
        fix=WITHOUT if found else AGAIN,
    )


def runtime_of(lock):
    """Without a receipt, the lock's own wheels are what is asked for."""
    return lock.receipt["cuda_runtime"] if lock.receipt else "wheels"


def names_of(lock):
    """What Paddle, and the libraries among themselves, ask the loader for."""
    if lock.receipt is None:
        return sorted(lock.build.libraries.needs) if lock.build.libraries else []
    return sorted({*lock.receipt["libraries"], *(Path(link).name for link in lock.receipt["links"])})


def files_of(lock, run):
    """What to open: the receipt's links and files, else what the loader takes for the names that the build needs."""
    if lock.receipt is not None:
        return [*lock.receipt["links"], *lock.receipt["libraries"].values()]
    return [path or name for name, path in run("libraries.found", names=names_of(lock))["files"].items()]


def recorded_folders(lock):
    """Where the system's CUDA libraries are, when those are used: their parts lie beside them."""
    recorded = lock.receipt["libraries"].values() if lock.receipt else ()
    return sorted({str(Path(path).resolve().parent) for path in recorded})


def number_of(version):
    """8.9.6 -> 8906, as cuDNN counts up to version 8; 9.5.1 -> 90501, as it does from version 9 on."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 1000 + minor * 100 + patch if major < 9 else major * 10000 + minor * 100 + patch


def next_major(number):
    return (number // 1000 + 1) * 1000 if number < 10000 else (number // 10000 + 1) * 10000
