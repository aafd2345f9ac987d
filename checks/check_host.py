"""The host: driver, GPUs on the bus, device nodes, room, processor and C library. Needs no target, so it is also the preflight."""

from __future__ import annotations

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


def known(value, what, fix=None):
    """Fail, saying why, when a fact could not be read."""
    expect(not isinstance(value, Unknown), f"{what} could not be read", measured=getattr(value, "reason", None), fix=fix)
    return value


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_loaded(host):
    """The NVIDIA driver is loaded: kernel module, library and device nodes."""
    module, library = host.driver.kernel_module, host.driver.library
    parts = {"kernel module": module, "libnvidia-ml.so.1": library}
    missing = [f"{name}: {value.reason}" for name, value in parts.items() if isinstance(value, Unknown)]
    on_bus = f"{len(host.pci_gpus)} NVIDIA GPUs on the PCI bus" if isinstance(host.pci_gpus, tuple) else "PCI bus unreadable"
    expect(
        not missing,
        "the NVIDIA driver is missing" if len(missing) == len(parts) else "the NVIDIA driver is not complete",
        measured=f"{'; '.join(missing)}; {on_bus}",
        expected="a loaded kernel module and its libraries",
        likely="no driver is installed" if len(missing) == len(parts) else "the driver is half installed or half visible here",
        fix="install the NVIDIA driver (Debian: apt-get install nvidia-driver) and reboot; in a container: --gpus all. "
        "To rehearse without a GPU: paddle-bootstrap up --device cpu. To build an image: paddle-bootstrap install",
    )


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_matches(host):
    """The driver's library and its kernel module are of one version."""
    module, library = host.driver.kernel_module, host.driver.library
    expect(
        host.driver.nvml_code != 18 and (isinstance(module, Unknown) or isinstance(library, Unknown) or module == library),
        "the driver's library and kernel module are of different versions",
        measured=f"kernel module {text(module)}, library {text(library)}",
        expected="equal versions",
        likely="the driver package was updated while the old kernel module was loaded",
        fix="reboot, or: rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia",
    )
    known(library, "the driver library's version")


def text(value):
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else str(value)


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_driver_new_enough(host, lock, warn):
    """The driver is new enough for the build."""
    build = lock.build
    version = known(host.driver.kernel_module, "the driver's version", fix="install the NVIDIA driver")
    if build.min_driver:
        expect(
            Version(version) >= Version(build.min_driver),
            f"driver {version} is too old for CUDA {build.cuda}",
            measured=version,
            expected=f"{build.min_driver} or newer",
            fix=f"update the NVIDIA driver to {build.toolkit_driver or build.min_driver} or newer",
        )
    if build.toolkit_driver and Version(version) < Version(build.toolkit_driver):
        warn(f"driver {version} is older than CUDA {build.cuda}'s own {build.toolkit_driver}: PTX cannot be compiled")


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_gpus_on_bus(host, gpus):
    """Every GPU on the PCI bus is one that the driver lists."""
    bus = set(known(host.pci_gpus, "the PCI bus"))
    listed = {known(gpu.pci_address, f"the PCI address of GPU {gpu.index}") for gpu in host.gpus}
    lost, unseen = sorted(bus - listed), sorted(listed - bus)
    expect(
        not lost,
        f"{len(lost)} of {len(bus)} GPUs on the PCI bus are not listed by the driver: {', '.join(lost)}",
        measured=f"{len(listed)} listed: {', '.join(sorted(listed))}",
        expected=f"{len(bus)}: {', '.join(sorted(bus))}",
        likely="the GPU has fallen off the bus or failed to initialise, or a container was given only some",
        fix="dmesg | grep -i -e xid -e nvrm",
    )
    expect(not unseen, f"the driver lists GPUs that the PCI bus does not show: {', '.join(unseen)}", fix="lspci -d 10de:")


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_device_nodes(host):
    """/dev/nvidia* can be opened by this user."""
    broken = [f"{node.path}: {node.problem}" for node in host.device_nodes if node.problem]
    count = sum(node.path.removeprefix("/dev/nvidia").isdigit() for node in host.device_nodes)
    expect(
        not broken,
        f"{len(broken)} device nodes cannot be used",
        measured="; ".join(broken),
        expected="readable and writable",
        likely="nvidia-modprobe has not run, or this user is not in the group that owns them",
        fix="nvidia-modprobe -u -c=0 (as root); in a container: --gpus all",
    )
    expect(count, "there is no /dev/nvidia0", expected="one node for each GPU", fix="nvidia-modprobe -c=0 (as root)")


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_architecture(host, lock, gpus):
    """The build holds machine code for every GPU, by the lock's data."""
    build = lock.build
    for gpu in gpus:
        major, minor = known(gpu.compute_capability, f"the compute capability of GPU {gpu.index}")
        expect(
            covered(major, minor, build.sass) or (build.ptx and may_compile(host, build) and major * 10 + minor >= min(build.ptx)),
            f"no machine code for sm_{major}{minor} in {build.package} {build.version}",
            measured=f"GPU {gpu.index}, {text(gpu.name)}: compute capability {major}.{minor}",
            expected=f"one that runs {', '.join(f'sm_{number}' for number in build.sass) or 'no machine code at all'}",
            likely="the GPU is newer, or much older, than this build",
            fix="choose a lock whose build has it: paddle-bootstrap plan --lock FILE; to rehearse: --device cpu",
        )


def covered(major, minor, sass):
    """Machine code runs on the same major capability from its own minor on (CUDA C++ programming guide, binary compatibility)."""
    return any(number // 10 == major and number % 10 <= minor for number in sass)


def may_compile(host, build):
    """PTX needs a driver as new as the toolkit that made it."""
    version = host.driver.kernel_module
    return isinstance(version, str) and bool(build.toolkit_driver) and Version(version) >= Version(build.toolkit_driver)


@pytest.mark.level("quick")
@pytest.mark.requires("gpu")
def check_nvml_bindings(host):
    """The Python module pynvml is nvidia-ml-py's, and new enough."""
    expect(host.pynvml_problem is None, "GPUs cannot be read reliably", measured=host.pynvml_problem, fix="reinstall the tool")


@pytest.mark.level("quick")
def check_disk(host):
    """The target's file system has room left."""
    found = host.filesystem("target")
    expect(found, "the target's file system was not read")
    free = known(found.free_bytes, "its free space")
    least = LIMITS["disk"]["free_bytes"]
    expect(
        free >= least,
        f"{free / GIGA:.1f} GB are free at {found.path}",
        measured=f"{free} bytes free",
        expected=f"at least {least / GIGA:.1f} GB for checkpoints and logs",
        fix=f"free some space: du -xh {found.path} | sort -h | tail",
    )


@pytest.mark.level("quick")
def check_shared_memory(host):
    """Data loader workers have room in /dev/shm."""
    found = host.filesystem("shm")
    expect(found, "/dev/shm was not read")
    size = known(found.total_bytes, "the size of /dev/shm", fix="mount -t tmpfs tmpfs /dev/shm")
    least = LIMITS["shared_memory"]["bytes"]
    expect(
        size >= least,
        f"/dev/shm holds {size / GIGA:.2f} GB",
        measured=f"{size} bytes",
        expected=f"at least {least / GIGA:.1f} GB; with less, data loader workers die of SIGBUS",
        likely="a container with docker's default of 64 MB" if host.container else None,
        fix="docker run --shm-size=8g ...; on a host: mount -o remount,size=8g /dev/shm",
    )


@pytest.mark.level("quick")
def check_cpu(host, lock):
    """The processor has the instructions that the build uses."""
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
    """The C and C++ libraries are new enough for the build."""
    for name, found, least in (("glibc", host.glibc, lock.build.glibc), ("GLIBCXX", host.glibcxx, lock.build.glibcxx)):
        if least:
            expect(
                Version(known(found, f"the version of {name}")) >= Version(least),
                f"{name} {found} is too old for {lock.build.package} {lock.build.version}",
                measured=found,
                expected=f"{least} or newer",
                fix="use a newer Linux distribution, or a container image of one",
            )
