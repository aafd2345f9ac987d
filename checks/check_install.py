"""The installation: what stands in the target is what the receipt says, and nothing else is mixed in."""

from __future__ import annotations

import pytest

from paddle_bootstrap.harness import expect

AGAIN = "install again: paddle-bootstrap install --env DIR"


@pytest.mark.level("quick")
def check_packages(lock, run):
    """Names and versions are those of the lock."""
    found = run("paddle_build.distributions")["found"]
    wrong = [
        f"{wheel.name} {found.get(wheel.name, 'missing')} (lock: {wheel.version})"
        for wheel in lock.wheels
        if found.get(wheel.name) != wheel.version
    ]
    expect(
        not wrong,
        f"{len(wrong)} of {len(lock.wheels)} packages are not the lock's",
        measured="; ".join(wrong),
        expected="; ".join(f"{wheel.name} {wheel.version}" for wheel in lock.wheels if found.get(wheel.name) != wheel.version),
        likely="something was installed or removed by pip since",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_files(lock, run):
    """Paddle's files have the sizes that its RECORD states."""
    told = run("paddle_build.changed_files", package=lock.build.package)
    expect(told["record"], f"{lock.build.package} has no RECORD", fix=AGAIN)
    expect(told["files"], f"the RECORD of {lock.build.package} lists no file", fix=AGAIN)
    first = [f"{name}: {size if size is not None else 'missing'} instead of {wanted}" for name, wanted, size in told["changed"]]
    expect(
        not first,
        f"{len(first)} of {told['files']} files of {lock.build.package} are missing or changed",
        measured="; ".join(first[:3]),
        expected="every file with its recorded size",
        likely="a disk that was full, or another package over it",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_single_paddle(run):
    """paddlepaddle and paddlepaddle-gpu do not share one environment."""
    found = run("paddle_build.distributions")["found"]
    paddles = {name: found[name] for name in ("paddlepaddle", "paddlepaddle-gpu") if name in found}
    told = ", ".join(f"{name} {version}" for name, version in paddles.items())
    expect(paddles, "no Paddle is installed here", fix="paddle-bootstrap install --env DIR")
    expect(
        len(paddles) == 1,
        "two Paddles overwrite each other's files",
        measured=told,
        expected="one of them",
        likely="a package that requires paddlepaddle was installed into a GPU environment",
        fix=AGAIN,
    )


@pytest.mark.level("quick")
def check_build(lock, run):
    """Paddle imports and is the build that the lock names."""
    build, told = lock.build, run("paddle_build.build")
    wanted = {"version": build.version, "compiled_with_cuda": build.device == "gpu"}
    if build.device == "gpu":
        wanted |= {"cuda": build.cuda, "cudnn": build.cudnn_built}
    wrong = {key: told[key] for key, value in wanted.items() if told[key] != value}
    expect(
        not wrong,
        f"the installed Paddle is not {build.package} {build.version}",
        measured=", ".join(f"{key} {value}" for key, value in wrong.items()),
        expected=", ".join(f"{key} {wanted[key]}" for key in wrong),
        likely="a CPU build stands where the GPU build should" if told["compiled_with_cuda"] is False else None,
        fix=AGAIN,
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_linked_libraries(lock, run):
    """Every CUDA library that was linked can be loaded, and cuDNN is the expected one."""
    if lock.receipt is None or lock.receipt["cuda_runtime"] != "wheels":
        pytest.skip("the CUDA libraries are the system's own")
    links = lock.receipt["links"]
    if lock.build.libraries.link:
        expect(links, "no library is linked into paddle/libs", expected="both names of each of NVIDIA's libraries", fix=AGAIN)
    problems = run("paddle_build.load", names=list(links))
    expect(
        not problems,
        f"{len(problems)} of {len(links)} linked libraries do not load",
        measured="; ".join(f"{name}: {why}" for name, why in list(problems.items())[:3]),
        expected="all load",
        likely="a wheel of NVIDIA's was removed or changed",
        fix=AGAIN,
    )
    runtime = run("paddle_build.build")["cudnn_runtime"]
    expect(
        runtime == number_of(lock.build.cudnn_runtime),
        "Paddle finds another cuDNN than the lock's, or none",
        measured=f"get_cudnn_version() {runtime}",
        expected=f"{number_of(lock.build.cudnn_runtime)} ({lock.build.cudnn_runtime})",
        likely="LD_LIBRARY_PATH names a folder with another cuDNN: it outranks the wheel's own",
        fix="unset LD_LIBRARY_PATH, then: paddle-bootstrap verify",
    )


def number_of(version):
    """8.9.6 -> 8906, as cudnnGetVersion() counts up to version 8."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 1000 + minor * 100 + patch if major < 9 else major * 10000 + minor * 100 + patch


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_libraries_origin(lock, run):
    """The CUDA libraries in use are the receipt's, none from elsewhere."""
    if lock.receipt is None:
        pytest.skip("no receipt: where the CUDA libraries should come from is not known")
    run("paddle_build.build")
    told = run("paddle_build.mapped")
    system = set(lock.receipt["libraries"].values())
    foreign = [path for path in told["libraries"] if not path.startswith(told["site_packages"]) and path not in system]
    expect(
        not foreign,
        f"{len(foreign)} CUDA libraries come from elsewhere",
        measured="; ".join(foreign[:3]),
        expected=f"from {told['site_packages']}" if not system else f"from {', '.join(sorted(system)[:3])}",
        likely="LD_LIBRARY_PATH or /etc/ld.so.conf names another CUDA",
        fix="unset LD_LIBRARY_PATH, then: paddle-bootstrap verify",
    )
