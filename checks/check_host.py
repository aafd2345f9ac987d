"""The host: driver, GPUs on the bus, device nodes, room, processor and C library. Needs no target: also the preflight."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from paddle_bootstrap.harness import expect, few, xids
from paddle_bootstrap.harness.given import ABSENT, giver, gpu_nodes, no_nodes, not_under_wsl
from paddle_bootstrap.host.facts import Late, Unknown
from paddle_bootstrap.toml import shipped

HERE = Path(__file__).parent
LIMITS = shipped(HERE / "limits.toml")
GIGA = 1e9
LIBRARY_MISMATCH = 18  # NVML's return code
WAYS_ON = "to rehearse without a GPU: paddle-bootstrap up --device cpu; to build an image: paddle-bootstrap install"
SEE_DRIVER = "see host.driver_loaded"
XID = "dmesg | grep -i -e xid -e nvrm"
NOT_LOADED = (
    "modprobe nvidia, and see what it says; dkms status; mokutil --sb-state (secure boot); lsmod | grep nouveau"
)
LIBRARIES = "ldd --version; Debian: apt-get install libstdc++6; a host without glibc cannot run Paddle's wheels"


def known(value, what, *, fix):
    """``value``; the check fails, saying why, when it could not be read."""
    reason = getattr(value, "reason", None)
    known_now = not isinstance(value, Unknown)
    expect(known_now, f"{what} could not be read", measured=reason, expected="it can be read", fix=fix)
    return value


def text(value):
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else str(value)


def named(values):
    return ", ".join(sorted(values)) or "none"


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_driver_loaded(host):
    """Kernel module, library and nodes are there."""
    nodes = Unknown("there is no /dev/nvidia*") if no_nodes(host) else host.device_nodes
    parts = {"kernel module": host.driver.kernel_module, "library": host.driver.library, "device nodes": nodes}
    if host.wsl:
        parts = {"library": host.driver.library}
    if host.pynvml_problem:
        del parts["library"]  # it was not asked; host.nvml_bindings says so
    lacking = {name: value.reason for name, value in parts.items() if isinstance(value, Unknown)}
    none = len(lacking) == len(parts)
    expect(
        not isinstance(host.driver.library, Late),
        "the NVIDIA driver hangs",
        measured=lacking.get("library"),
        expected="an answer within seconds",
        likely="a GPU's firmware has stopped answering (Xid 119, 120), or a GPU fell off the bus (Xid 79)",
        fix=f"see kernel.xid_history and kernel.noise; {XID}; reboot",
    )
    expect(
        not lacking,
        "the NVIDIA driver is missing"
        if none
        else f"the NVIDIA driver is not whole: no usable {' and '.join(lacking)}",
        measured="; ".join(f"{name}: {reason}" for name, reason in lacking.items()),
        expected="a loaded kernel module, its library and its device nodes",
        likely="no driver is installed" if none else "half installed, or a container that was given a part of it",
        fix=NOT_LOADED
        if list(lacking) == ["kernel module"]
        else "install the NVIDIA driver (Debian: apt-get install nvidia-driver) and reboot; in a container: --gpus all; "
        + WAYS_ON,
    )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_driver_matches(host):
    """Library and kernel module are of one version."""
    not_under_wsl(host, "the kernel module")
    module, library = host.driver.kernel_module, host.driver.library
    lacking = [name for name, value in (("kernel module", module), ("library", library)) if isinstance(value, Unknown)]
    expect(
        host.driver.nvml_code != LIBRARY_MISMATCH and (lacking or module == library),
        "the driver's library and kernel module are of different versions",
        measured=f"kernel module {text(module)}, library {text(library)}",
        expected="equal versions",
        likely="the driver package was updated while the old kernel module was loaded",
        fix="reboot, or: rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia",
    )
    expect(
        not lacking,
        "there are no two versions to compare",
        measured="no version of the " + " and of the ".join(lacking),
        expected="two equal versions",
        fix=SEE_DRIVER,
    )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_driver_new_enough(host, lock, warn):
    """The driver is new enough for the build."""
    build = lock.build
    version = host.driver.library if host.wsl else host.driver.kernel_module
    expect(
        isinstance(version, str),
        "the driver's version is not known",
        measured="no kernel module is loaded",
        expected=f"{build.min_driver} or newer",
        fix=SEE_DRIVER,
    )
    if build.min_driver:
        expect(
            Version(version) >= Version(build.min_driver),
            f"driver {version} is too old for CUDA {build.cuda}",
            measured=f"driver {version}, which serves CUDA {served(host)}",
            expected=f"{build.min_driver} or newer, for CUDA {build.cuda}",
            likely="the host's driver was never updated; Paddle would run on the CPU with CUDA error 35 unsaid",
            fix=f"update the NVIDIA driver to {build.toolkit_driver or build.min_driver} or newer, "
            f"or choose a build for CUDA {served(host)} and older: paddle-bootstrap plan --all",
        )
    cuda = host.driver.cuda_version
    if build.cuda and isinstance(cuda, tuple):
        expect(
            cuda[0] >= int(build.cuda.split(".")[0]),
            f"driver {version} serves CUDA {served(host)}; this build needs {build.cuda}",
            measured=f"CUDA {served(host)}",
            expected=f"CUDA {build.cuda.split('.')[0]}.0 or newer",
            likely="libcuda.so.1 is not the one of the driver: an older one is found first",
            fix="ldconfig -p | grep -e libcuda.so -e libnvidia-ml; echo $LD_LIBRARY_PATH; update the NVIDIA driver",
        )
    if build.toolkit_driver and Version(version) < Version(build.toolkit_driver):
        warn(f"driver {version} is older than CUDA {build.cuda}'s own {build.toolkit_driver}: PTX cannot be compiled")


def served(host):
    return text(host.driver.cuda_version) if not host.driver.cuda_version else "{}.{}".format(*host.driver.cuda_version)


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_gpus_on_bus(host, warn):
    """The driver lists every GPU on the PCI bus."""
    not_under_wsl(host, "the PCI bus")
    bus = set(known(host.pci_gpus, "the PCI bus", fix="ls /sys/bus/pci/devices; in a container: mount /sys"))
    expect(
        bus,
        "there is no NVIDIA GPU on the PCI bus",
        measured="no display controller of NVIDIA's in /sys/bus/pci/devices",
        expected="at least one",
        likely="no GPU is built in or passed through to this virtual machine, or it fell off the bus",
        fix=f"lspci -d 10de: shows what is there; {WAYS_ON}",
    )
    gpus = known(host.gpus, f"what the driver lists of the GPUs on the PCI bus ({named(bus)})", fix=SEE_DRIVER)
    opened = [gpu for gpu in gpus if not (isinstance(gpu.uuid, Unknown) and isinstance(gpu.name, Unknown))]
    listed = {known(gpu.pci_address, f"the PCI address of GPU {gpu.index}", fix=XID) for gpu in opened}
    lost, unseen = bus - listed, listed - bus
    if len(lost) <= len(gpus) - len(opened):  # listed, but NVML cannot open them: nvml.answers fails for each
        lost = set()
    if lost and (who := giver(host)):
        warn(f"{who} {len(listed)} of {len(bus)} GPUs, not {named(lost)}")
        lost = set()
    expect(
        not lost,
        f"{len(lost)} of {len(bus)} GPUs on the PCI bus are not listed by the driver: {named(lost)}",
        measured=f"{len(listed)} listed: {few(f'{gpu.pci_address} ({text(gpu.uuid)})' for gpu in gpus) or 'none'}",
        expected=f"{len(bus)}: {named(bus)}",
        likely=xids.last_words(host, shipped(HERE / "xid.toml"), lost)
        or "the GPU has fallen off the bus or did not initialise, or another driver (vfio-pci) holds it",
        fix=f"lspci -k -d 10de:; {XID}; power-cycle the host when the GPU stays away",
    )
    expect(
        not unseen,
        f"the driver lists GPUs that the PCI bus does not show: {named(unseen)}",
        measured=f"on the bus: {named(bus)}",
        expected=f"{len(listed)}: {named(listed)}",
        likely="/sys is not the host's",
        fix="lspci -d 10de:; ls /sys/bus/pci/devices",
    )


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_device_nodes(host, warn):
    """This user can open /dev/nvidia* of every GPU."""
    not_under_wsl(host, "the card")
    problems = {node.path: node.problem for node in host.device_nodes if node.problem}
    expect(
        not no_nodes(host),
        "there is no /dev/nvidia*",
        measured=named(node.path for node in host.device_nodes if not node.problem),
        expected="/dev/nvidiactl, and /dev/nvidiaN for each GPU",
        fix=SEE_DRIVER,
    )
    if problems.get("/dev/nvidia-uvm") == ABSENT and not isinstance(
        host.container, str
    ):  # made at the first use of CUDA, by the setuid nvidia-modprobe
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


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_nvml_bindings(host):
    """pynvml is nvidia-ml-py's, and new enough."""
    expect(
        host.pynvml_problem is None,
        "GPUs cannot be read reliably",
        measured=host.pynvml_problem,
        expected="nvidia-ml-py, as this tool's own dependency",
        likely="the tool was installed into an environment that has a distribution called pynvml",
        fix="run the command above, or give the tool an environment of its own: in a checkout, uv tool install .",
    )


@pytest.mark.level("quick", priority=1)
def check_disk(host):
    """The target's file system has room left."""
    found, least = host.filesystem("target"), LIMITS["disk"]["free_bytes"]
    free = known(found.free_bytes, f"the free space of {found.path}", fix=f"df -h {found.path}")
    expect(
        free >= least,
        f"{free / GIGA:.2f} GB are free at {found.path}",
        measured=f"{free} bytes free",
        expected=f"at least {least / GIGA:.1f} GB for checkpoints and logs",
        likely="the disk is full, or a quota is",
        fix=f"df -h {found.path}; du -xh {found.path} | sort -h | tail",
    )


@pytest.mark.level("quick", priority=1)
def check_shared_memory(host, warn):
    """/dev/shm has room for data loader workers."""  # noqa: S108 a sentence
    found = host.filesystem("shm")
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
        fix="docker run --shm-size=8g; Kubernetes: an emptyDir of medium Memory; a host: mount -o remount,size=8g /dev/shm",
    )


@pytest.mark.level("quick", priority=1)
def check_cpu(host, lock):
    """The processor has the build's instructions."""
    flags = known(host.cpu_flags, "the processor's flags", fix="grep -m1 flags /proc/cpuinfo")
    missing = [flag for flag in lock.build.cpu_flags if flag not in flags]
    expect(
        not missing,
        f"the processor lacks {', '.join(missing)}",
        measured=text(host.cpu),
        expected=", ".join(lock.build.cpu_flags),
        likely="an old processor, or a virtual machine whose processor model hides them",
        fix="give the virtual machine the host's processor model (QEMU: -cpu host); without it, Paddle dies of SIGILL",
    )


@pytest.mark.level("quick", priority=1)
def check_glibc(host, lock):
    """The C and C++ libraries are new enough."""
    pairs = (("glibc", host.glibc, lock.build.glibc), ("GLIBCXX", host.glibcxx, lock.build.glibcxx))
    for name, found, least in pairs:
        if least:
            expect(
                Version(known(found, f"the version of {name}", fix=LIBRARIES)) >= Version(least),
                f"{name} {found} is too old for {lock.build.package} {lock.build.version}",
                measured=found,
                expected=f"{least} or newer",
                likely=f"the distribution is older than those this build was made for: {text(host.os)}",
                fix="use a newer Linux distribution, or a container image of one",
            )
