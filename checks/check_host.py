"""The host: driver, GPUs on the bus, device nodes, room, processor and C library. Needs no target: also the preflight."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from paddle_bootstrap.harness import expect
from paddle_bootstrap.host.facts import Unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMITS = tomllib.loads(Path(__file__).with_name("limits.toml").read_text(encoding="utf-8"))
GIGA = 1e9
LIBRARY_MISMATCH = 18  # NVML's return code
ABSENT = os.strerror(errno.ENOENT)
WAYS_ON = "to rehearse without a GPU: paddle-bootstrap up --device cpu; to build an image: paddle-bootstrap install"
SEE_DRIVER = "see host.driver_loaded"


def known(value, what, *, likely=None, fix=None):
    """``value``; the check fails, saying why, when it could not be read."""
    reason = getattr(value, "reason", None)
    expect(not isinstance(value, Unknown), f"{what} could not be read", measured=reason, likely=likely, fix=fix)
    return value


def text(value):
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else str(value)


def named(values):
    return ", ".join(sorted(values)) or "none"


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_loaded(host):
    """Kernel module, library and nodes are there."""
    parts = {"kernel module": host.driver.kernel_module, "library": host.driver.library}
    missing = {name: value.reason for name, value in parts.items() if isinstance(value, Unknown)}
    if all(node.problem == ABSENT for node in host.device_nodes):
        missing["device nodes"] = "there is no /dev/nvidia*"
    whole = len(missing) > len(parts)
    expect(
        not missing,
        "the NVIDIA driver is missing"
        if whole
        else f"the NVIDIA driver is not complete: {' and '.join(missing)} missing",
        measured="; ".join(f"{name}: {reason}" for name, reason in missing.items()),
        expected="a loaded kernel module, its library and its device nodes",
        likely="no driver is installed" if whole else "half installed, or a container that was given a part of it",
        fix=f"as root: apt-get install nvidia-driver, then reboot; in a container: --gpus all; {WAYS_ON}",
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_matches(host):
    """Library and kernel module are of one version."""
    module, library = host.driver.kernel_module, host.driver.library
    both = isinstance(module, str) and isinstance(library, str)
    expect(
        host.driver.nvml_code != LIBRARY_MISMATCH and not (both and module != library),
        "the driver's library and kernel module are of different versions",
        measured=f"kernel module {text(module)}, library {text(library)}",
        expected="equal versions",
        likely="the driver package was updated while the old kernel module was loaded",
        fix="reboot, or: rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia",
    )
    expect(both, "there are no two versions to compare", fix=SEE_DRIVER)


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_new_enough(host, lock, warn):
    """The driver is new enough for the build."""
    build = lock.build
    version = host.driver.kernel_module
    expect(isinstance(version, str), "the driver's version is not known", fix=SEE_DRIVER)
    if build.min_driver:
        expect(
            Version(version) >= Version(build.min_driver),
            f"driver {version} is too old for CUDA {build.cuda}",
            measured=version,
            expected=f"{build.min_driver} or newer",
            likely="the host's driver was never updated; Paddle would run on the CPU with CUDA error 35 unsaid",
            fix=f"update the NVIDIA driver to {build.toolkit_driver or build.min_driver} or newer",
        )
    if build.toolkit_driver and Version(version) < Version(build.toolkit_driver):
        warn(f"driver {version} is older than CUDA {build.cuda}'s own {build.toolkit_driver}: PTX cannot be compiled")


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_gpus_on_bus(host, warn):
    """The driver lists every GPU on the PCI bus."""
    bus = set(known(host.pci_gpus, "the PCI bus"))
    expect(bus, "there is no NVIDIA GPU on the PCI bus", fix=f"as root: lspci -d 10de: shows what is there; {WAYS_ON}")
    gpus = known(host.gpus, f"what the driver lists of the GPUs on the PCI bus ({named(bus)})", fix=SEE_DRIVER)
    listed = {known(gpu.pci_address, f"the PCI address of GPU {gpu.index}") for gpu in gpus}
    lost, unseen = bus - listed, listed - bus
    if lost and given_a_part(host):
        warn(f"the {host.container} container was given {len(listed)} of {len(bus)} GPUs; not {named(lost)}")
        lost = set()
    expect(
        not lost,
        f"{len(lost)} of {len(bus)} GPUs on the PCI bus are not listed by the driver: {named(lost)}",
        measured=f"{len(listed)} listed: {named(listed)}",
        expected=f"{len(bus)}: {named(bus)}",
        likely="the GPU has fallen off the bus or did not initialise",
        fix="dmesg | grep -i -e xid -e nvrm; power-cycle the host when the GPU stays away",
    )
    expect(
        not unseen,
        f"the driver lists GPUs that the PCI bus does not show: {named(unseen)}",
        measured=f"on the bus: {named(bus)}",
        expected=f"{len(listed)}: {named(listed)}",
        likely="/sys is not the host's",
        fix="lspci -d 10de:",
    )


def given_a_part(host):
    """A container has nodes of just the GPUs that it was given; with a node for a lost one, the loss was not meant."""
    return isinstance(host.container, str) and 0 < gpu_nodes(host) <= len(host.gpus)


def gpu_nodes(host):
    return sum(node.path.removeprefix("/dev/nvidia").isdigit() for node in host.device_nodes)


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_device_nodes(host, warn):
    """This user can open /dev/nvidia* of every GPU."""
    problems = {node.path: node.problem for node in host.device_nodes if node.problem}
    expect(set(problems.values()) != {ABSENT} or gpu_nodes(host), "there is no /dev/nvidia*", fix=SEE_DRIVER)
    if problems.get("/dev/nvidia-uvm") == ABSENT:  # made at the first use of CUDA, by the setuid nvidia-modprobe
        del problems["/dev/nvidia-uvm"]
        warn("/dev/nvidia-uvm is not there yet; device.cuda_driver shows whether CUDA can make it")
    expect(
        not problems,
        f"{len(problems)} device nodes cannot be used",
        measured="; ".join(f"{path}: {problem}" for path, problem in problems.items()),
        expected="readable and writable",
        likely="nvidia-modprobe has not run, or this user is not in the group that owns them",
        fix="ls -l /dev/nvidia*; as root: nvidia-modprobe -u -c=0; in a container: --gpus all",
    )
    listed = len(host.gpus) if isinstance(host.gpus, tuple) else 0
    expect(
        gpu_nodes(host) >= max(listed, 1),
        f"there are {gpu_nodes(host)} device nodes for {listed} GPUs",
        measured=named(node.path for node in host.device_nodes),
        expected="one /dev/nvidiaN for each GPU",
        likely="the nodes were made before a GPU was added, or a container was given only some",
        fix="as root: nvidia-modprobe -c=0, -c=1 and so on; in a container: --gpus all",
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_nvml_bindings(host):
    """pynvml is nvidia-ml-py's, and new enough."""
    expect(
        host.pynvml_problem is None,
        "GPUs cannot be read reliably",
        measured=host.pynvml_problem,
        expected="nvidia-ml-py, as this tool's own dependency",
        likely="the tool was installed into an environment that has a distribution called pynvml",
        fix="give the tool an environment of its own: uv tool install paddle-bootstrap",
    )


@pytest.mark.level("quick")
def check_disk(host):
    """The target's file system has room left."""
    found = host.filesystem("target")
    expect(found, "the target's file system was not read")
    free, least = known(found.free_bytes, f"the free space of {found.path}"), LIMITS["disk"]["free_bytes"]
    expect(
        free >= least,
        f"{free / GIGA:.2f} GB are free at {found.path}",
        measured=f"{free} bytes free",
        expected=f"at least {least / GIGA:.1f} GB for checkpoints and logs",
        likely="the disk is full, or a quota is",
        fix=f"df -h {found.path}; du -xh {found.path} | sort -h | tail",
    )


@pytest.mark.level("quick")
def check_shared_memory(host, warn):
    """/dev/shm has room for data loader workers."""  # noqa: S108 a sentence
    found = host.filesystem("shm")
    expect(found, "shared memory was not read")
    size = known(found.total_bytes, f"the size of {found.path}", fix="mount -t tmpfs tmpfs /dev/shm")
    least = LIMITS["shared_memory"]["bytes"]
    if size < least and not host.gpus:
        warn(f"{found.path} holds {size / GIGA:.2f} GB: too little to train with data loader workers on a GPU host")
        return
    expect(
        size >= least,
        f"{found.path} holds {size / GIGA:.2f} GB",
        measured=f"{size} bytes",
        expected=f"at least {least / GIGA:.1f} GB; with less, data loader workers die of SIGBUS",
        likely="a container with docker's default of 64 MB" if host.container else "a small tmpfs in /etc/fstab",
        fix="docker run --shm-size=8g ...; on a host: mount -o remount,size=8g /dev/shm",
    )


@pytest.mark.level("quick")
def check_cpu(host, lock):
    """The processor has the build's instructions."""
    flags = known(host.cpu_flags, "the processor's flags")
    missing = [flag for flag in lock.build.cpu_flags if flag not in flags]
    expect(
        not missing,
        f"the processor lacks {', '.join(missing)}",
        measured=text(host.cpu),
        expected=", ".join(lock.build.cpu_flags),
        likely="an old processor, or a virtual machine whose processor model hides them",
        fix="give the virtual machine the host's processor model (QEMU: -cpu host); without it, Paddle dies of SIGILL",
    )


@pytest.mark.level("quick")
def check_glibc(host, lock):
    """The C and C++ libraries are new enough."""
    pairs = (("glibc", host.glibc, lock.build.glibc), ("GLIBCXX", host.glibcxx, lock.build.glibcxx))
    for name, found, least in pairs:
        if least:
            expect(
                Version(known(found, f"the version of {name}")) >= Version(least),
                f"{name} {found} is too old for {lock.build.package} {lock.build.version}",
                measured=found,
                expected=f"{least} or newer",
                likely=f"the distribution is older than those this build was made for: {text(host.os)}",
                fix="use a newer Linux distribution, or a container image of one",
            )
